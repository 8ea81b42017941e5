"""The process that trains one model: imports the project's function, calls it, traces what it returns.

    python -m neurenix.training_process REQUEST.json

REQUEST.json names the function, its parameters, the inputs and the folder for the results: `graph.npz` and
`metrics.json`. What goes wrong is written to the request's `error` file as JSON. Whatever the function
prints goes to the parent line by line.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from neurenix.errors import NeurenixError, TrainingError
from neurenix.graph.store import save_graph
from neurenix.nn import Module
from neurenix.trace import trace
from neurenix.training import Trained


def main(arguments: list[str]) -> int:
    """Serve the request in the file `arguments[0]`. Returns the process's exit status."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    root = Path(request["root"])
    sys.path[:0] = [str(path) for path in (root / "src", root) if path.is_dir()]
    try:
        _serve(request)
    except NeurenixError as error:
        return _report(request, error.code, str(error))
    except SystemExit as error:
        return _report(request, TrainingError.code, f"train failed: it called sys.exit({error.code!r})")
    except Exception as error:  # noqa: BLE001 - the project's code may raise anything
        return _report(request, TrainingError.code, f"train failed: {_summary(error, root)}")
    return 0


def _serve(request: Mapping[str, Any]) -> None:
    module, _, attribute = request["train"].partition(":")
    function = find_function(module, attribute)
    check_parameters(function, attribute, request["params"])
    model, metrics = unpack(function(**request["params"]))
    model.eval()
    dims = {name: (low, high) for name, (low, high) in request["dims"].items()}
    graph = trace(model, request["inputs"], dims, request["name"])
    output = Path(request["output"])
    save_graph(graph, output / "graph.npz")
    (output / "metrics.json").write_text(json.dumps(metrics, allow_nan=False), encoding="utf-8")


def find_function(module: str, attribute: str) -> Callable[..., Any]:
    """Import `module` and return its `attribute`, which may be dotted. Raises TrainingError."""
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        hint = f" -- add {missing!r} to train-dependencies" if missing != module.partition(".")[0] else ""
        raise TrainingError(f"cannot import {module!r} (searched src and the project's root; {error}){hint}") from error
    except Exception as error:
        raise TrainingError(f"cannot import {module!r}: {_summary(error, Path.cwd())}") from error
    path = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise TrainingError(f"{path!r} has no {name!r}{_did_you_mean(name, dir(found))}")
        found, path = getattr(found, name), f"{path}.{name}"
    if not callable(found):
        raise TrainingError(f"{path!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def check_parameters(function: Callable[..., Any], name: str, params: Mapping[str, Any]) -> None:
    """Raise TrainingError when `function(**params)` would not even start, and name the parameters."""
    try:
        accepted = inspect.signature(function).parameters
    except ValueError:
        return  # A callable from C may not tell; the call itself will.
    keywords = {p.name: p for p in accepted.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    problems = []
    if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        for wrong in sorted(params.keys() - keywords.keys()):
            problems.append(f"params: {name!r} has no parameter {wrong!r}{_did_you_mean(wrong, keywords)}")
    for parameter in accepted.values():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not variadic and parameter.name not in params:
            problems.append(f"params: {name!r} needs the parameter {parameter.name!r} -- add it to 'params'")
    if problems:
        raise TrainingError("; ".join(problems))


def unpack(result: object) -> tuple[Module, dict[str, float]]:
    """Return the model and the metrics that a training function gave. Raises TrainingError."""
    model, metrics = (result.model, result.metrics) if isinstance(result, Trained) else (result, {})
    if not isinstance(model, Module):
        raise TrainingError(f"train must return a model (or a Trained), got {type(model).__name__}")
    numbers: dict[str, float] = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TrainingError(f"train returned the metric {name!r} as {type(value).__name__}, not a number") from None
        if not math.isfinite(number):
            raise TrainingError(f"train returned the metric {name!r} as {number}: the training has diverged")
        numbers[str(name)] = number
    return model, numbers


def _report(request: Mapping[str, Any], code: str, message: str) -> int:
    error = {"code": code, "message": message, "traceback": traceback.format_exc()}
    Path(request["error"]).write_text(json.dumps(error), encoding="utf-8")
    return 1


def _summary(error: BaseException, root: Path) -> str:
    """Say what was raised and the project's line that it came from."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and not path.is_relative_to(Path(sys.prefix)):
            return f"{text} ({path.relative_to(root).as_posix()}, line {frame.lineno})"
    return text


def _did_you_mean(wrong: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(wrong, [name for name in known if not name.startswith("_")], n=1)
    return f" -- did you mean {close[0]!r}?" if close else ""


def _end_with_parent() -> None:
    # The parent holds the other end of stdin; when it is killed, nobody wants the model any more.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
