"""Reads `[tool.neurenix]` from pyproject.toml, or from a document that somebody else has read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurenix import __version__
from neurenix.config.model_table import dropped_keys
from neurenix.config.overlays import PROFILE_VARIABLE, lay_over, relocate, written_in
from neurenix.config.rules import a_version, parse_version, quote, suggestion
from neurenix.config.tables import Config
from neurenix.config.validate import read_table
from neurenix.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = "tool.neurenix"
_OVERLAYS = ("targets", "profiles")


def load_config(root: Path, *, target: str | None = None, profile: str | None = None) -> Config:
    """Read the tables from `pyproject.toml` in `root`; `parse_config` says how. Raises ConfigError."""
    _, document = read_document(root)
    return parse_config(document, target=target, profile=profile)


def read_document(root: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of `pyproject.toml` in `root`, with the line ends that it has, and what it says.

    Raises ConfigError where the file is not there, cannot be read, or is no TOML.
    """
    path = root / "pyproject.toml"
    try:
        text = path.read_bytes().decode("utf-8")
        return text, tomllib.loads(text.replace("\r\n", "\n"))
    except FileNotFoundError:
        raise ConfigError([f"{path} is not there -- run this in the folder of a Python project"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} is not valid TOML: {error}"]) from error
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from error


def parse_config(document: Mapping[str, Any], *, target: str | None = None, profile: str | None = None) -> Config:
    """Read the tables from a parsed pyproject.toml, for one build target. Raises ConfigError with every problem.

    `[tool.neurenix.targets.TARGET]` and `[tool.neurenix.profiles.PROFILE]` are laid over the rest, in this order.
    The environment variable NEURENIX_PROFILE names the profile where the argument does not.
    """
    tool = document.get("tool", {})
    table = tool.get("neurenix", {}) if isinstance(tool, Mapping) else {}
    if table == {}:
        raise ConfigError([f"{ROOT}: declare at least one model: [tool.neurenix.models.NAME]"])
    if not isinstance(table, Mapping):
        problems: list[str] = []
        read_table(Config, table, ROOT, problems)
        raise ConfigError(problems)
    _check_version(table)
    chosen = profile if profile is not None else os.environ.get(PROFILE_VARIABLE) or None
    config, problems = _read(table, _chosen_overlays(table, target, chosen))
    for name, overlay in _overlays(table):
        # Those that this build does not use: their mistakes would else wait for the day they are needed.
        problems += [p for p in _read(table, {name: overlay})[1] if p not in problems]
    if chosen is not None:
        known = _tables(table, "profiles")
        if chosen not in known:
            problems.insert(
                0, f"{PROFILE_VARIABLE}: {quote(chosen)} is not declared in {ROOT}.profiles{suggestion(chosen, known)}"
            )
    if config is None or problems:
        raise ConfigError(problems)
    return _watching(config)


def _watching(config: Config) -> Config:
    """Let every model watch the sources of the custom ops: any of them may use one."""
    files = [file for op in config.ops.values() for file in op.files]
    models = {
        name: replace(model, watch=(*model.watch, *(f for f in files if f not in model.watch)))
        for name, model in config.models.items()
    }
    return replace(config, models=models) if files else config


def _read(table: Mapping[str, Any], overlays: Mapping[str, Mapping[str, Any]]) -> tuple[Config | None, list[str]]:
    """Return the configuration with the overlays in order, and the problems at the places where they were written."""
    origins: dict[str, str] = {}
    for name, overlay in overlays.items():
        table = lay_over(table, overlay, dropped_keys)
        origins.update(dict.fromkeys(written_in(overlay), name))
    problems: list[str] = []
    config = read_table(Config, table, ROOT, problems)
    return config, [relocate(problem, ROOT, origins) for problem in problems]


def _chosen_overlays(table: Mapping[str, Any], target: str | None, profile: str | None) -> dict[str, Mapping[str, Any]]:
    wanted = {f"targets.{target}", f"profiles.{profile}"}
    return {name: overlay for name, overlay in _overlays(table) if name in wanted}


def _overlays(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind in _OVERLAYS:
        for name, overlay in _tables(table, kind).items():
            if isinstance(overlay, Mapping):
                # What an overlay must not hold is reported by the rules of its own key.
                yield f"{kind}.{name}", {k: v for k, v in overlay.items() if k not in _OVERLAYS}


def _tables(table: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    tables = table.get(kind, {})
    return tables if isinstance(tables, Mapping) else {}


def _check_version(table: Mapping[str, Any]) -> None:
    """Raise ConfigError when the tables are for a newer version, whose keys this one would call unknown."""
    wanted = table.get("minimum-version")
    if isinstance(wanted, str) and a_version(wanted) is None and parse_version(wanted) > parse_version(__version__):
        raise ConfigError(
            [
                f"{ROOT}.minimum-version: needs hatch-neurenix >= {wanted}, have {__version__} -- "
                f"require 'hatch-neurenix>={wanted}' in build-system.requires"
            ]
        )
