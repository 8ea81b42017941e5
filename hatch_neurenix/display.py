"""What a build prints: an error as one message, and what each model has come to."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from neurenix.cli.wording import plain
from neurenix.environment import misspelt
from neurenix.error_pages import explained_at
from neurenix.errors import NeurenixError

if TYPE_CHECKING:
    from neurenix.project.build_record import BuiltModel


_RUNTIME = "neurenix.runtime"


@contextmanager
def readable_errors(app: Any) -> Iterator[None]:
    """End the build with the message alone when it fails on purpose; at `-v` with the traceback too."""
    try:
        yield
    except KeyboardInterrupt:
        # As a shell reports what SIGINT has ended.
        app.abort("hatch-neurenix: interrupted; what is done is in the cache", 128 + signal.SIGINT)
    except (NeurenixError, OSError) as error:
        if app.verbosity >= 1:
            raise
        app.abort(f"hatch-neurenix: {plain(str(error))}\nMore about it: {explained_at(error)}")


def warn_of_environment(app: Any) -> None:
    """Say which variables of the environment are nearly ours, and so mean nothing."""
    for warning in misspelt():
        app.display_warning(f"hatch-neurenix: {plain(warning)}")


def show_models(app: Any, models: Sequence[BuiltModel]) -> None:
    """Print a table for each model: its files, its metrics, and how well its compiled forms agree."""
    for model in models:
        app.display_info("")
        app.display_mini_header(f"{model.name}: {_origin(model)}")
        show_sizes(app, ((file["name"], file["raw"], file["gzip"]) for file in model.report["files"]))
        for title, values in (("metrics", model.metrics), ("largest error", model.report["agreement"])):
            if values:
                app.display_info(f"  {title}: {_figures(values)}")


def show_sizes(app: Any, files: Iterable[tuple[str, int, int]]) -> None:
    """Print the size of each file and of all together, as it is and compressed."""
    rows = _runtime_as_one(files)
    rows.append(("total", sum(raw for _, raw, _ in rows), sum(packed for _, _, packed in rows)))
    width = max(len(name) for name, _, _ in rows)
    app.display_info(f"  {'file':<{width}}  {'bytes':>12}  {'gzip':>12}")
    for name, raw, packed in rows:
        app.display_info(f"  {name:<{width}}  {raw:>12,}  {packed:>12,}")


def _runtime_as_one(files: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Put the loader's many small modules, which are the same in every bundle, into one row for each folder."""
    rows: dict[str, tuple[int, int]] = {}
    for name, raw, packed in files:
        folder, found, _ = name.partition(_RUNTIME)
        row = f"{folder}{_RUNTIME}*" if found else name
        before = rows.get(row, (0, 0))
        rows[row] = (before[0] + raw, before[1] + packed)
    return [(name, raw, packed) for name, (raw, packed) in rows.items()]


def _origin(model: BuiltModel) -> str:
    if model.trained_now:
        return "trained and compiled"
    return "compiled; its weights are from the cache" if model.compiled_now else "from the cache"


def _figures(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
