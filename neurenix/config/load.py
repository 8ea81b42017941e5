"""Reads `[tool.neurenix]` from pyproject.toml, or from a document that somebody else has read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurenix.config.tables import Config
from neurenix.config.validate import read_table
from neurenix.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_config(root: Path) -> Config:
    """Read the tables from `pyproject.toml` in `root`. Raises ConfigError with every problem."""
    path = root / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"{path} is not there -- run this in the folder of a Python project"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} is not valid TOML: {error}"]) from error
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from error
    return parse_config(document)


def parse_config(document: Mapping[str, Any]) -> Config:
    """Read the tables from a parsed pyproject.toml. Raises ConfigError with every problem."""
    tool = document.get("tool", {})
    table = tool.get("neurenix", {}) if isinstance(tool, Mapping) else {}
    problems: list[str] = []
    if table == {}:
        problems.append("tool.neurenix: declare at least one model: [tool.neurenix.models.NAME]")
        raise ConfigError(problems)
    config = read_table(Config, table, "tool.neurenix", problems)
    if config is None:
        raise ConfigError(problems)
    return config
