"""Module: a piece of a model that owns parameters, buffers and other modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.device import Device, as_device
from neurenix.errors import InputError
from neurenix.graph.builder import active_builder
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self


class Parameter(Tensor):
    """A tensor that training changes."""

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=True)


class Module:
    """The parent of every layer and model.

    Assign parameters, buffers (`register_buffer`) and child modules as attributes in `__init__`, and define
    `forward`. Names are the attribute paths: `model.features.0.weight` is "features.0.weight".
    """

    training: bool
    device: Device

    def __init__(self) -> None:
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        self.training = True
        self.device = Device()

    def forward(self, *inputs: Tensor) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define forward()")

    def config(self) -> Mapping[str, Any]:
        """Return the arguments that this layer was made with, for the bundle's description."""
        return {}

    def __call__(self, *inputs: Any) -> Any:
        tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        builder = active_builder()
        if builder is None:
            return self.forward(*tensors)
        with builder.scope(self):
            return self.forward(*tensors)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}.__init__ must call super().__init__() before it sets '{name}'")
        home: dict[str, Any] | None = None
        if isinstance(value, Parameter):
            home = self._parameters
        elif isinstance(value, Module):
            home = self._modules
        elif isinstance(value, Tensor) and name in self._buffers:
            home = self._buffers
        for table in (self._parameters, self._buffers, self._modules):
            if table is not home:
                table.pop(name, None)
        if home is None:
            object.__setattr__(self, name, value)
        else:  # an assigned name keeps its place in the order
            self.__dict__.pop(name, None)
            home[name] = value

    def __getattr__(self, name: str) -> Any:
        # Called only when the ordinary look-up fails.
        for table in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(table, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")

    def register_buffer(self, name: str, value: Tensor) -> None:
        """Keep a tensor that is part of the model's state but is not trained."""
        self._buffers[name] = value

    # ── walking ─────────────────────────────────────────────────────────────────────────────────────

    def children(self) -> Iterator[Module]:
        yield from self._modules.values()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module under `prefix`, then everything in it, in the order of assignment."""
        yield prefix, self
        for name, child in self._modules.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from self._named("_parameters")

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        yield from self._named("_buffers")

    def parameters(self) -> Iterator[Parameter]:
        yield from (parameter for _, parameter in self.named_parameters())

    def _named(self, table: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, tensor in module.__dict__[table].items():
                if id(tensor) not in seen:  # a shared parameter is listed once
                    seen.add(id(tensor))
                    yield (f"{prefix}.{name}" if prefix else name), tensor

    # ── state ───────────────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return copies of all parameters and buffers by name."""
        return {name: t.numpy().copy() for name, t in (*self.named_parameters(), *self.named_buffers())}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Self:
        """Copy arrays into the parameters and buffers of the same names.

        Raises InputError when a shape differs, or, unless `strict` is off, when a name is missing or
        unknown; nothing is changed then.
        """
        own = dict((*self.named_parameters(), *self.named_buffers()))
        problems = [f"'{n}' is missing" for n in own if n not in state and strict]
        problems += [f"'{n}' is not in the model" for n in state if n not in own and strict]
        arrays = {
            n: np.asarray(state[n].numpy() if isinstance(state[n], Tensor) else state[n]) for n in own if n in state
        }
        problems += [
            f"'{n}' has shape {list(a.shape)}, the model's is {list(own[n].shape)}"
            for n, a in arrays.items()
            if a.shape != own[n].shape
        ]
        problems += [f"'{n}' holds {a.dtype}, no numbers" for n, a in arrays.items() if a.dtype.kind not in "fiub"]
        if problems:
            raise InputError("the state does not fit the model: " + "; ".join(problems))
        for name, array in arrays.items():
            own[name].numpy()[...] = array
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch statistics on, or off with `mode=False`."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to inference."""
        return self.train(False)

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: Device | str) -> Self:
        """Move the model. Raises DeviceError, saying why, when the device is not available; "auto" takes the best."""
        target = Device() if device == "auto" else as_device(device)
        target.require()
        for _, module in self.named_modules():
            module.device = target
        return self

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        if not self._modules:
            return f"{type(self).__name__}({options})"
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        return "\n".join([f"{type(self).__name__}({options}", *lines, ")"])
