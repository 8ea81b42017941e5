"""The parent of the optimisers: parameter groups, state, and the walk over parameters in cache-sized blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

import numpy as np

from neurenix.errors import InputError
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]
Group = dict[str, Any]
Params = Union[Iterable[Tensor], Iterable[Group]]

# Elements worked on at once: an optimiser reads and writes some five arrays a dozen times, which should stay in
# the processor's cache (5 x 256 KB).
_BLOCK = 1 << 16


class Optimizer:
    """Changes parameters by their gradients, in place.

    `params` are tensors, or dicts with "params" and the options in which that group differs, as in PyTorch.
    `param_groups` is the list of groups; what is changed there (`group["lr"] = …`) holds from the next step on.
    A subclass names its arrays in `slots` and does its arithmetic in `update`.
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self._state: dict[int, dict[str, Any]] = {}  # by the parameter's id; the groups keep it alive
        self._scratch: dict[np.dtype[Any], tuple[Array, Array]] = {}
        given: list[Any] = [params] if isinstance(params, (Tensor, Mapping)) else list(params)
        if not given:
            raise InputError(
                "the optimiser got no parameters; pass model.parameters(), and only once if it is an iterator"
            )
        groups = given if any(isinstance(g, Mapping) for g in given) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with their own options; options not given take the optimiser's.

        Raises InputError for an unknown option, a value out of range, or a parameter that is already in a group.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise InputError(f"a parameter group is a dict with 'params' in it, got {type(group).__name__}")
        given = group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        if not params:
            raise InputError(f"parameter group {len(self.param_groups)} has no parameters")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for i, parameter in enumerate(params):
            if not isinstance(parameter, Tensor) or parameter.dtype.numpy.kind != "f":
                what = parameter.dtype if isinstance(parameter, Tensor) else type(parameter).__name__
                raise InputError(f"an optimiser takes tensors of floats; parameter {i} is {what}")
            if id(parameter) in known:
                raise InputError(f"parameter {i} of shape {list(parameter.shape)} is already in a group")
            known.add(id(parameter))
        unknown = sorted(group.keys() - self.defaults.keys() - {"params", "initial_lr"})
        if unknown:
            raise InputError(f"{type(self).__name__} has no option {unknown[0]!r}; it has {sorted(self.defaults)}")
        whole = {**self.defaults, **group, "params": params}
        self.check(whole)
        self.param_groups.append(whole)

    def check(self, group: Group) -> None:
        """Raise InputError for an option out of its range."""
        for name in ("lr", "weight_decay", "momentum", "eps", "lr_decay"):
            value = group.get(name, 0.0)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
                word = "the learning rate" if name == "lr" else name
                raise InputError(f"{word} must be a finite number and must not be negative, got {value}")
        for i, beta in enumerate(group.get("betas", ())):
            if not 0 <= beta < 1:
                raise InputError(f"betas[{i}] must be in [0, 1), got {beta}")

    @property
    def lr(self) -> float:
        """The first group's learning rate; setting it sets every group's."""
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    @property
    def params(self) -> list[Tensor]:
        """All parameters, group after group."""
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the last backward pass; they become None, or zeros without `set_to_none`."""
        for parameter in self.params:
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = Tensor(np.zeros_like(parameter.grad.numpy()))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient. Returns what `closure`, called first, returned."""
        result = closure() if closure is not None else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter.numpy(), parameter.grad.numpy(), self._state_of(parameter, group), group)
        return result

    # ── what a subclass defines ─────────────────────────────────────────────────────────────────────

    def slots(self, group: Group) -> Mapping[str, float]:
        """Return the arrays that each parameter needs beside it, named as in PyTorch, with their first value."""
        return {}

    def update(self, value: Array, gradient: Array, slots: Mapping[str, Array], scratch: Array, group: Group,
               step: int) -> None:  # fmt: skip
        """Change `value` and `slots` in place. All are flat blocks of one length; `scratch` may hold anything.

        `gradient` must not be changed. `step` counts from 1.
        """
        raise NotImplementedError

    # ── state ───────────────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the arrays and all options: arrays and plain values only, laid out as in PyTorch.

        Parameters are counted from 0 through all groups. Loading this gives the very same next steps.
        """
        positions = {id(p): i for i, p in enumerate(self.params)}
        state = {positions[key]: _copied(entry) for key, entry in self._state.items() if key in positions}
        groups = [{**g, "params": [positions[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises InputError, changing nothing, when it is for other parameters."""
        groups, entries = list(state["param_groups"]), {int(k): v for k, v in state["state"].items()}
        sizes, own = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise InputError(f"the optimiser's state is for groups of {sizes} parameters, these are {own}")
        params = self.params
        numbers = [int(n) for group in groups for n in group["params"]]
        found: dict[int, dict[str, Any]] = {}
        for parameter, number in zip(params, numbers):
            for name, value in entries.get(number, {}).items():
                if name != "step" and np.shape(value) != parameter.shape:
                    raise InputError(
                        f"the optimiser's state has {name} of shape {list(np.shape(value))} for parameter {number}, "
                        f"whose shape is {list(parameter.shape)}"
                    )
            if number in entries:
                found[id(parameter)] = {
                    name: int(value) if name == "step" else np.array(value, dtype=parameter.dtype.numpy, order="C")
                    for name, value in entries[number].items()
                }
        for group, given in zip(self.param_groups, groups):
            options = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "params"}
            self.check({**group, **options})
            group.update(options)
        self._state = found

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────

    def _state_of(self, parameter: Tensor, group: Group) -> dict[str, Any]:
        entry = self._state.get(id(parameter))
        if entry is None:
            entry = self._state[id(parameter)] = {"step": 0}
        for name, first in self.slots(group).items():
            if name not in entry:
                array = parameter.numpy()
                entry[name] = np.full(array.shape, first, array.dtype)
        return entry

    def _step(self, value: Array, gradient: Array, entry: dict[str, Any], group: Group) -> None:
        if gradient.shape != value.shape:
            raise InputError(f"a gradient of shape {list(gradient.shape)} for a parameter of {list(value.shape)}")
        entry["step"] += 1
        work = np.asarray(value, order="C")  # the array itself unless it is a strange view
        flat, g = work.reshape(-1), gradient.reshape(-1)
        slots = [(name, entry[name].reshape(-1)) for name in self.slots(group)]
        first, second = self._scratch_of(work.dtype)
        for start in range(0, flat.size, _BLOCK):
            end = min(start + _BLOCK, flat.size)
            ready = self._gradient(flat[start:end], g[start:end], first[: end - start], group)
            block = {name: array[start:end] for name, array in slots}
            self.update(flat[start:end], ready, block, second[: end - start], group, entry["step"])
        if work is not value:
            value[...] = work

    def _gradient(self, value: Array, gradient: Array, scratch: Array, group: Group) -> Array:
        """Turn the gradient round when maximising, and add the decay that is part of the gradient."""
        if group.get("maximize"):
            gradient = np.negative(gradient, out=scratch)
        if group.get("weight_decay") and not group.get("decoupled_weight_decay"):
            if gradient is scratch:
                scratch += group["weight_decay"] * value
            else:
                np.multiply(value, group["weight_decay"], out=scratch)
                scratch += gradient
            return scratch
        return gradient

    def _scratch_of(self, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        if dtype not in self._scratch:
            self._scratch[dtype] = np.empty(_BLOCK, dtype), np.empty(_BLOCK, dtype)
        return self._scratch[dtype]


def _copied(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in entry.items()}
