"""Backward hooks: functions that a module calls when the gradients of its inputs are there."""

from __future__ import annotations

from typing import Any

from neurenix.errors import GraphError
from neurenix.nn.hooks import Table
from neurenix.tensor import Tensor
from neurenix.tensor.gate import Gradients, gate


class Watch:
    """One forward pass whose gradients hooks will see: on the way into the outputs, and out of the inputs.

    `before` and `hooks` are copies of the module's tables: what is registered later is for later passes.
    """

    def __init__(self, module: Any, before: Table, hooks: Table) -> None:
        self._module, self._before, self._hooks = module, dict(before), dict(hooks)
        self._arrived: Gradients | None = None
        self._inputs = 0
        self._passing = False  # whether some input requires a gradient

    def inputs(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs as the module must see them."""
        self._inputs = len(inputs)
        watched = _gated(inputs, self._leave) if self._hooks else inputs
        self._passing = any(a is not b for a, b in zip(inputs, watched))
        return watched

    def outputs(self, outputs: Any) -> Any:
        """Return the output, a tensor or a tuple, as everyone else must see it."""
        if not isinstance(outputs, tuple):
            return _gated((outputs,), self._enter)[0]
        watched = _gated(outputs, self._enter)
        return type(outputs)(*watched) if hasattr(outputs, "_fields") else watched

    def _enter(self, gradients: Gradients) -> Gradients:
        for hook in self._before.values():
            gradients = _replaced(hook.call(self._module, gradients), gradients, "grad_output")
        self._arrived = gradients
        if self._hooks and not self._passing:
            nothing: Gradients = (None,) * self._inputs
            for hook in self._hooks.values():
                made = _replaced(hook.call(self._module, nothing, gradients), nothing, "grad_input")
                if any(g is not None for g in made):
                    raise GraphError(
                        f"a backward hook of {type(self._module).__name__} returned gradients for inputs that require "
                        "none: return None"
                    )
            self._arrived = None
        return gradients

    def _leave(self, gradients: Gradients) -> Gradients:
        if self._arrived is None:  # the inputs were used elsewhere; nothing came through this module
            return gradients
        arrived, self._arrived = self._arrived, None
        for hook in self._hooks.values():
            gradients = _replaced(hook.call(self._module, gradients, arrived), gradients, "grad_input")
        return gradients


def _gated(values: tuple[Any, ...], passing: Any) -> tuple[Any, ...]:
    """Put the tensors among some values through one gate; for everything else it sees None."""
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]

    def spread(gradients: Gradients) -> Gradients:
        whole: list[Any] = [None] * len(values)
        for i, g in zip(places, gradients):
            whole[i] = g
        passed = passing(tuple(whole))
        return tuple(passed[i] for i in places)

    result = list(values)
    for i, watched in zip(places, gate([values[i] for i in places], spread)):
        result[i] = watched
    return tuple(result)


def _replaced(returned: Any, gradients: Gradients, what: str) -> Gradients:
    if returned is None:
        return gradients
    made: Gradients = returned if isinstance(returned, tuple) else (returned,)
    if len(made) != len(gradients):
        raise GraphError(f"a backward hook returned {len(made)} gradients as {what}, expected {len(gradients)}")
    return made
