"""Hooks: functions that a module calls before and after its forward pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

ForwardHook = Callable[[Any, tuple[Any, ...], Any], Any]
ForwardPreHook = Callable[[Any, tuple[Any, ...]], Any]

_numbers = itertools.count()


class HookHandle:
    """What registering a hook returns; also a context manager that removes the hook at its end."""

    def __init__(self, table: dict[int, Any], hook: Any) -> None:
        self._table, self._number = table, next(_numbers)
        table[self._number] = hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._table.pop(self._number, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def before(hooks: dict[int, ForwardPreHook], module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs after each hook has seen them, and changed them where it returned something."""
    for hook in tuple(hooks.values()):
        changed = hook(module, inputs)
        if changed is not None:
            inputs = changed if isinstance(changed, tuple) else (changed,)
    return inputs


def after(hooks: dict[int, ForwardHook], module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
    """Return the output after each hook has seen it, and changed it where it returned something."""
    for hook in tuple(hooks.values()):
        changed = hook(module, inputs, output)
        output = output if changed is None else changed
    return output
