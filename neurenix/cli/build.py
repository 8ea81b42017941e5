"""`neurenix build`: the pipeline without packaging, with a table of what each model has come to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from neurenix.cli.options import common
from neurenix.cli.terminal import console, print_json, show_line, show_table
from neurenix.cli.wording import plain, seconds_text, size_text
from neurenix.config import load_config
from neurenix.config.overlays import TARGETS
from neurenix.project.jobs import check_model_names
from neurenix.project.pipeline import BuiltModel, build_models
from neurenix.project.staging import replacing

_LIBRARIES = (".so", ".dylib", ".dll")


@dataclass(frozen=True)
class ModelReport:
    """One model. `web` and `gzip` are bytes of what a browser loads, `native` of libraries, `agreement` the largest
    error of each compiled form; `made` is trained, compiled or cached."""

    name: str
    made: str
    directory: Path
    web: int
    gzip: int
    native: int
    agreement: Mapping[str, float]
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class BuildReport:
    """A finished build, in the order of the configuration."""

    models: tuple[ModelReport, ...]
    seconds: float


@click.command("build")
@click.argument("models", nargs=-1)
@click.option("--project", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(),
              show_default="the current one", help="The folder of pyproject.toml.")  # fmt: skip
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Where the bundles go, a folder for each.  [default: PROJECT/dist/models]")  # fmt: skip
@click.option("--cache-only", is_flag=True, help="Leave the bundles in the build cache; the table says where.")
@click.option("--profile", help="Lay [tool.neurenix.profiles.NAME] over the configuration; else NEURENIX_PROFILE.")
@click.option("--target", type=click.Choice(TARGETS), help="Lay [tool.neurenix.targets.NAME] over it, as that build.")
@click.option("--quiet", is_flag=True, help="Say nothing while it builds.")
@common
def command(
    models: tuple[str, ...], project: Path, output: Path | None, cache_only: bool, profile: str | None,
    target: str | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train, compile and prove the models of this project.

    MODELS are names from pyproject.toml, all of them when none is given. What is in the cache is not made again.
    Progress goes to stderr, the table or JSON to stdout.
    """
    if cache_only and output is not None:
        raise click.UsageError("--cache-only leaves the bundles in the cache, where --output cannot be")
    config = load_config(project, target=target, profile=profile)
    check_model_names(models, config.models, "MODELS")
    start = time.perf_counter()
    with _progress(quiet) as say:
        # The static site is for browsers, which load no libraries.
        built = build_models(config, project, models or None, say, native=target != "static-site")
    folder = None if cache_only else output or project / "dist" / "models"
    reports = tuple(_report(model, _placed(model, folder)) for model in built)
    report = BuildReport(reports, time.perf_counter() - start)
    if as_json:
        print_json(report)
    else:
        _show(report)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield what says a line: above a spinner on a terminal, as plain lines elsewhere."""
    screen = console(stderr=True)
    if quiet:
        yield lambda line: None
    elif screen.is_terminal:
        with screen.status("building"):
            yield lambda line: screen.print(plain(line), soft_wrap=True)
    else:
        yield lambda line: show_line(line, stderr=True)


def _placed(model: BuiltModel, folder: Path | None) -> Path:
    """Copy a bundle out of the cache, in place of an earlier one, and return where it is."""
    if folder is None:
        return model.directory
    with replacing(folder / model.name) as staged:
        shutil.copytree(model.directory, staged, copy_function=shutil.copyfile, dirs_exist_ok=True)
    return folder / model.name


def _report(model: BuiltModel, directory: Path) -> ModelReport:
    files = model.report["files"]
    web = [file for file in files if not file["name"].endswith(_LIBRARIES)]
    made = "trained" if model.trained_now else "compiled" if model.compiled_now else "cached"
    return ModelReport(
        name=model.name,
        made=made,
        directory=directory,
        web=sum(file["raw"] for file in web),
        gzip=sum(file["gzip"] for file in web),
        native=sum(file["raw"] for file in files if file not in web),
        agreement=model.report["agreement"],
        metrics=model.metrics,
        seconds=model.seconds,
    )


def _show(report: BuildReport) -> None:
    columns = ("model", "made", "web", "gzip", "native", "seconds")
    rows = [
        (m.name, m.made, size_text(m.web), size_text(m.gzip), size_text(m.native) if m.native else "-",
         f"{m.seconds:.2f}")
        for m in report.models
    ]  # fmt: skip
    show_table(columns, rows, right=columns[2:])
    show_line()
    checks = [(m.name, form, f"{error:.1e}") for m in report.models for form, error in m.agreement.items()]
    show_table(("model", "form", "largest error"), checks, right=("largest error",))
    show_line()
    for model in report.models:
        if model.metrics:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in model.metrics.items())
            show_line(f"{model.name}: {figures}")
        show_line(f"{model.name} is in {model.directory}")
    count = len(report.models)
    show_line(f"{count} {'model' if count == 1 else 'models'} in {seconds_text(report.seconds)}", style="bold")
