"""Hooks: functions that a module calls before and after its forward pass, and in what order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

# hook(module, inputs), or with the keyword arguments as a third one; hook(module, inputs, output) likewise.
ForwardPreHook = Callable[..., Any]
ForwardHook = Callable[..., Any]
BackwardPreHook = Callable[[Any, tuple[Any, ...]], Any]
BackwardHook = Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any]

_numbers = itertools.count()


class Hook(NamedTuple):
    """A function, and whether it wants the keyword arguments as well."""

    call: Callable[..., Any]
    with_kwargs: bool = False


Table = dict[int, Hook]


class HookHandle:
    """What registering a hook returns; also a context manager that removes the hook at its end."""

    def __init__(self, table: Table, hook: Hook, prepend: bool = False) -> None:
        self._table, self._number = table, next(_numbers)
        others = dict(table) if prepend else {}
        for number in others:
            del table[number]
        table[self._number] = hook
        table.update(others)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._table.pop(self._number, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def before(
    hooks: Table, module: Any, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments after each hook has seen them, and changed them where it returned something."""
    for hook in tuple(hooks.values()):
        if hook.with_kwargs:
            changed = hook.call(module, inputs, options)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2 and isinstance(changed[1], dict)):
                    raise TypeError(f"a forward pre-hook with_kwargs returns (args, kwargs) or None, not {changed!r}")
                inputs, options = changed
        else:
            changed = hook.call(module, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
    return inputs, options


def after(hooks: Table, module: Any, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
    """Return the output after each hook has seen it, and changed it where it returned something."""
    for hook in tuple(hooks.values()):
        given = (inputs, options, output) if hook.with_kwargs else (inputs, output)
        changed = hook.call(module, *given)
        output = output if changed is None else changed
    return output
