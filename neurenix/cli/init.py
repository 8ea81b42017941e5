"""`neurenix init`: a working configuration for a project that has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from neurenix.cli.new_model import (
    check_name,
    columns_of,
    default_function,
    from_data,
    from_file,
    from_function,
    stub_of,
    stub_path,
)
from neurenix.cli.options import common
from neurenix.cli.pyproject_edit import HOOK, PLUGIN, Project, read_project, with_hook, with_model, write_text
from neurenix.cli.terminal import print_json, show_line
from neurenix.errors import ConfigError, OutputError
from neurenix.frontends.load import plain_model_name

_KINDS = ("train", "load", "data")


@dataclass(frozen=True)
class InitReport:
    """What was written: the text added to `file`, other files made, and what is left to do."""

    file: Path
    model: str
    added: str
    created: tuple[Path, ...]
    notes: tuple[str, ...]
    next: tuple[str, ...]


@click.command("init")
@click.argument("project", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--name", help="The model's name.  [default: from the project's]")
@click.option("--train", metavar="MODULE:FUNCTION", help="A function trains the model and returns it.")
@click.option("--load", metavar="FILE", help="The model is in a file, such as an .onnx one.")
@click.option("--architecture", metavar="MODULE:FUNCTION", help="What makes the model that the file has weights of.")
@click.option("--data", metavar="CSV", help="The model is trained on a CSV file, without any Python.")
@click.option("--target", metavar="COLUMN", help="The column to predict.  [default: the last one]")
@click.option("--stub/--no-stub", default=None, help="Write a commented training function where there is none.")
@click.option("--yes", is_flag=True, help="Ask nothing; take the defaults.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@common
def command(
    project: Path, name: str | None, train: str | None, load: str | None, architecture: str | None, data: str | None,
    target: str | None, stub: bool | None, yes: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write a working configuration into this project's pyproject.toml.

    Everything in the file stays as it is; a [tool.neurenix] that is there already is never touched. Where hatchling
    builds the project, the plugin's hook is switched on too. What is not given is asked for.
    """
    given = {key: value for key, value in (("train", train), ("load", load), ("data", data)) if value is not None}
    _check_usage(given, architecture, target, yes or as_json)
    found = read_project(project)
    asking = not (yes or as_json)
    kind, value = next(iter(given.items())) if given else _ask_source(project, found)
    chosen = name or _name(found, kind, value, asking)
    check_name(chosen)
    if kind == "data" and target is None and asking:
        target = _ask_target(columns_of(project, value))
    table, notes = _table(project, kind, value, architecture, target)
    report, text, stub_text = _plan(project, found, chosen, table, notes, stub, asking)
    if not dry_run:
        for path in report.created:
            _create(path, stub_text)
        write_text(found.path, text)
    if as_json:
        print_json(report)
    else:
        _show(report, dry_run)


def _check_usage(given: dict[str, str], architecture: str | None, target: str | None, silent: bool) -> None:
    if len(given) > 1:
        raise click.UsageError(f"a model comes from one place; --{' and --'.join(given)} are {len(given)}")
    if not given and silent:
        raise click.UsageError("say what makes the model: --train module:function, --load model.onnx or --data x.csv")
    if architecture is not None and "load" not in given:
        raise click.UsageError("--architecture goes with --load")
    if target is not None and "data" not in given:
        raise click.UsageError("--target goes with --data")


def _ask_source(root: Path, project: Project) -> tuple[str, str]:
    click.echo("What makes the model?")
    for line in ("train  a Python function of yours", "load   a file, such as model.onnx", "data   a CSV file"):
        click.echo(f"  {line}")
    kind = click.prompt("It is", type=click.Choice(_KINDS), default="train", show_choices=False)
    question, default = {
        "train": ("The function", default_function(root, project.name)),
        "load": ("The file", _only(root, "*.onnx")),
        "data": ("The CSV file", _only(root, "*.csv")),
    }[kind]
    return kind, click.prompt(question, default=default)


def _only(root: Path, pattern: str) -> str | None:
    """Return the only file of a kind that the project has at hand, to suggest it."""
    found = [p for folder in (root, root / "data", root / "models") for p in sorted(folder.glob(pattern))]
    return found[0].relative_to(root).as_posix() if len(found) == 1 else None


def _name(project: Project, kind: str, value: str, asking: bool) -> str:
    text = project.name if kind == "train" else Path(value).stem
    default = plain_model_name(text or "model")
    return str(click.prompt("The model's name", default=default)) if asking else default


def _ask_target(columns: list[str]) -> str:
    return str(click.prompt(f"The column to predict ({', '.join(columns)})", default=columns[-1]))


def _table(
    root: Path, kind: str, value: str, architecture: str | None, target: str | None
) -> tuple[dict[str, Any], list[str]]:
    if kind == "train":
        return from_function(value), []
    if kind == "load":
        return from_file(root, value, architecture)
    return from_data(root, value, target)


def _plan(
    root: Path, project: Project, name: str, table: dict[str, Any], notes: list[str], stub: bool | None, asking: bool
) -> tuple[InitReport, str, str]:
    """Return what is to be written: the report of it, the file's new text, and that of a training function."""
    created: tuple[Path, ...] = ()
    stub_text = ""
    if "train" in table:
        path = stub_path(root, table["train"])
        if path is None and stub:
            raise ConfigError([f"train: there is no place for {table['train']!r}, or its module is there already"])
        if path is not None and stub is None and asking:
            stub = click.confirm(f"Write a training function to begin with, {path}?", default=True)
        if path is not None and stub:
            created, stub_text = (path,), stub_of(table["train"])
        elif path is not None:
            notes = [*notes, f"{table['train']} is not there yet: --stub writes it"]
    text = with_model(project, name, table)
    after = ["neurenix build"]
    if project.backend == "hatchling.build":
        hooked = with_hook(text)
        if hooked is None:
            after.insert(0, f'add "{PLUGIN}" to build-system.requires, and the line {HOOK}')
        text = hooked or text
        after.append("hatch build")
    else:
        after.append(
            f'for wheels with the model: requires = ["hatchling", "{PLUGIN}"] and build-backend = "hatchling.build" in '
            f"[build-system], and the line {HOOK}"
        )
    added = "\n".join(line for line in text.splitlines() if line not in project.text.splitlines())
    return InitReport(project.path, name, added, created, tuple(notes), tuple(after)), text, stub_text


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def _show(report: InitReport, dry_run: bool) -> None:
    show_line(f"{'would add to' if dry_run else 'added to'} {report.file}:", style="bold")
    for line in report.added.splitlines():
        show_line(f"  {line}")
    for path in report.created:
        show_line(f"{'would make' if dry_run else 'made'} {path}")
    for note in report.notes:
        show_line(f"note: {note}")
    for step in report.next:
        show_line(f"next: {step}")
