"""Adds tables to a pyproject.toml: every byte that was there stays, and the file is replaced at once."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.config import parse_config
from neurenix.config.load import read_document
from neurenix.errors import ConfigError, OutputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLUGIN = "hatch-neurenix"
HOOK = "[tool.hatch.build.hooks.neurenix]"

_REQUIRES = re.compile(r"^\[build-system\][^\[]*?^[ \t]*requires[ \t]*=[ \t]*\[", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """A pyproject.toml as it was read: its text, with the line ends that it has, and what it says."""

    path: Path
    text: str
    document: Mapping[str, Any]

    @property
    def backend(self) -> str:
        """The build backend, empty where none is named."""
        return str(_table(self.document, "build-system").get("build-backend", ""))

    @property
    def requires(self) -> list[str]:
        """What the build needs."""
        found = _table(self.document, "build-system").get("requires", [])
        return [str(entry) for entry in found] if isinstance(found, list) else []

    @property
    def name(self) -> str:
        """The project's name, empty where it has none."""
        return str(_table(self.document, "project").get("name", ""))

    @property
    def has_hook(self) -> bool:
        """Whether the plugin's hook is switched on."""
        found: Any = self.document
        for key in ("tool", "hatch", "build", "hooks"):
            found = found.get(key, {}) if isinstance(found, Mapping) else {}
        return isinstance(found, Mapping) and "neurenix" in found


def read_project(folder: Path) -> Project:
    """Read a project that has no [tool.neurenix] yet. Raises ConfigError for any other."""
    text, document = read_document(folder)
    if "neurenix" in _table(document, "tool"):
        raise ConfigError(["tool.neurenix: is there already -- edit it; 'neurenix schema' says what it may hold"])
    return Project(folder / "pyproject.toml", text, document)


def with_model(project: Project, name: str, table: Mapping[str, Any]) -> str:
    """Return the file's text with a model's table behind it. Raises ConfigError when that is no good configuration."""
    lines = [f"[tool.neurenix.models.{name}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
    text = _appended(project.text, lines)
    try:
        parse_config(tomllib.loads(text.replace("\r\n", "\n")))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{project.path}: a table cannot be added behind its end ({error}) -- add it by hand:",
                           *lines]) from error  # fmt: skip
    return text


def with_hook(text: str) -> str | None:
    """Return the text with the plugin among the build's requirements and its hook switched on.

    None where this cannot be done without changing anything else, which is for a person then.
    """
    before = tomllib.loads(text.replace("\r\n", "\n"))
    project = Project(Path(), text, before)
    expected: Any = json.loads(json.dumps(before, default=str))
    new = text
    if not _names_plugin(project.requires):
        new, found = _REQUIRES.subn(lambda match: f'{match[0]}"{PLUGIN}"{", " if project.requires else ""}', text, 1)
        if not found:
            return None
        expected["build-system"]["requires"] = [PLUGIN, *project.requires]
    if not project.has_hook:
        new = _appended(new, [HOOK])
        build = expected.setdefault("tool", {}).setdefault("hatch", {}).setdefault("build", {})
        build.setdefault("hooks", {})["neurenix"] = {}
    try:
        after = tomllib.loads(new.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError:
        return None
    return new if json.loads(json.dumps(after, default=str)) == expected else None


def write_text(path: Path, text: str) -> None:
    """Replace a file at once, with the permissions that it has; through a link it is the file behind it."""
    target = path.resolve()
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, aside)
        aside.replace(target)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


def toml(value: Any) -> str:
    """Return a value as TOML has it, on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    # JSON's texts, numbers and truth values are TOML's, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def _appended(text: str, lines: list[str]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else end if text.endswith("\n") else end + end
    return text + gap + end.join(lines) + end


def _names_plugin(requires: list[str]) -> bool:
    return any(re.match(rf"{PLUGIN}(?![\w.-])", r.strip().lower().replace("_", "-")) for r in requires)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key, {})
    return found if isinstance(found, Mapping) else {}
