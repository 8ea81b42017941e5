"""Declares one key of a table: its default, its description, its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, field
from typing import Any

from neurenix.config.rules import Rule

# Where a model comes from; a model has exactly one of these keys.
SOURCES = ("train", "load", "data")


def key(
    description: str,
    *,
    default: Any = MISSING,
    empty: Callable[[], Any] | None = None,
    check: Rule | None = None,
    check_key: Rule | None = None,
    sources: tuple[str, ...] = SOURCES,
) -> Any:
    """Declare one key of a table: required, unless `default` or `empty` (makes the value) is given."""
    metadata = {"description": description, "check": check, "check_key": check_key, "sources": sources}
    if empty is not None:
        return field(default_factory=empty, metadata=metadata)
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)
