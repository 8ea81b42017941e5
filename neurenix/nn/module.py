"""Module: a piece of a model that computes something from what it owns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.device import Device, DeviceType, as_device
from neurenix.nn import hooks
from neurenix.nn.backward_hooks import Watch
from neurenix.nn.state import IncompatibleKeys, read_state, write_state
from neurenix.nn.summary import Summary, summarise
from neurenix.nn.tree import Parameter, Tree
from neurenix.tensor import Tensor
from neurenix.tensor.input_spec import InputSpec
from neurenix.tensor.tracing import scope

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Module", "Parameter"]


def _no_forward(self: Module, *inputs: Any) -> Any:
    raise NotImplementedError(f"{type(self).__name__} must define forward()")


class Module(Tree):
    """The parent of every layer and model.

    Assign parameters, buffers (`register_buffer`) and child modules as attributes in `__init__`, and define
    `forward`. Calling the module runs it: arrays and nested lists of numbers become tensors, everything else is
    passed as it is.
    """

    training: bool
    device: Device
    _pre_hooks: hooks.Table
    _hooks: hooks.Table
    _backward_pre_hooks: hooks.Table
    _backward_hooks: hooks.Table
    # Declared as a value, so that a subclass may give its forward any arguments.
    forward: Callable[..., Any] = _no_forward

    def __init__(self) -> None:
        super().__init__()
        for table in ("_pre_hooks", "_hooks", "_backward_pre_hooks", "_backward_hooks"):
            object.__setattr__(self, table, {})
        self.training = True
        self.device = Device()

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        named = {k: _argument(v) for k, v in options.items()}
        arguments, named = hooks.before(self._pre_hooks, self, tuple(_argument(x) for x in inputs), named)
        watch = None
        if self._backward_pre_hooks or self._backward_hooks:
            watch = Watch(self, self._backward_pre_hooks, self._backward_hooks)
            arguments = watch.inputs(arguments)
        with scope(self):
            here = self.device.type is DeviceType.CPU
            output = (self.forward if here else self._elsewhere)(*arguments, **named)
        output = hooks.after(self._hooks, self, arguments, named, output)
        return output if watch is None else watch.outputs(output)

    def _elsewhere(self, *inputs: Any, **options: Any) -> Any:
        from neurenix import compiled  # it reads the compiler, which a model on the CPU never needs

        return compiled.run(self, inputs, options)

    def register_forward_pre_hook(
        self, hook: hooks.ForwardPreHook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.HookHandle:
        """Call `hook(module, inputs)` before every forward pass; what it returns replaces the inputs.

        `with_kwargs` calls `hook(module, inputs, kwargs)`, which returns both or None; `prepend` puts it first.
        """
        return hooks.HookHandle(self._pre_hooks, hooks.Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: hooks.ForwardHook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.HookHandle:
        """Call `hook(module, inputs, output)` after every forward pass; what it returns replaces the output.

        `with_kwargs` calls `hook(module, inputs, kwargs, output)`; `prepend` puts it first.
        """
        return hooks.HookHandle(self._hooks, hooks.Hook(hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: hooks.BackwardHook, prepend: bool = False) -> hooks.HookHandle:
        """Call `hook(module, grad_input, grad_output)` when a backward pass has the gradients of the inputs.

        Both are tuples, with None for what is no tensor or was not reached; keyword arguments are not in them.
        What the hook returns replaces `grad_input`. Raises GraphError, in the backward pass, when that has another
        length.
        """
        return hooks.HookHandle(self._backward_hooks, hooks.Hook(hook), prepend)

    def register_full_backward_pre_hook(self, hook: hooks.BackwardPreHook, prepend: bool = False) -> hooks.HookHandle:
        """Call `hook(module, grad_output)` before the gradients enter the module; what it returns replaces them."""
        return hooks.HookHandle(self._backward_pre_hooks, hooks.Hook(hook), prepend)

    # ── what it is ──────────────────────────────────────────────────────────────────────────────────

    def config(self) -> Mapping[str, Any]:
        """Return the arguments that this layer was made with, for the bundle's description.

        By default these are the attributes of the same names, as far as they are plain values; of a parameter,
        whether there is one.
        """
        found: dict[str, Any] = {}
        for name in inspect.signature(type(self).__init__).parameters:
            value = getattr(self, name, inspect.Parameter.empty)
            if name in self._parameters:
                found[name] = value is not None
            elif name != "self" and _plain(value):
                found[name] = value
        return found

    def extra_repr(self) -> str:
        """Return what stands between the brackets of this module's `repr`."""
        return ", ".join(f"{k}={v!r}" for k, v in self.config().items())

    def __repr__(self) -> str:
        options = self.extra_repr()
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({options})"
        return "\n".join([f"{type(self).__name__}({options}", *lines, ")"])

    def summary(self, *inputs: InputSpec) -> Summary:
        """Return the layers, their output shapes and parameters as a table; print it.

        `inputs` gives each argument of `forward` as a shape, `("batch", 3, 32, 32)`, a string,
        `"int64[batch, 12]"`, or an example array. Without any the output shapes are left out.
        """
        return summarise(self, inputs)

    # ── state ───────────────────────────────────────────────────────────────────────────────────────

    def state_dict(self, prefix: str = "") -> dict[str, np.ndarray[Any, Any]]:
        """Return copies of all parameters and persistent buffers by name; a shared one under each of its names."""
        return read_state(self, prefix)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy arrays into the parameters and buffers of the same names, and say which names did not match.

        Raises InputError when a shape differs, or, unless `strict` is off, when a name is missing or
        unknown; nothing is changed then.
        """
        return write_state(self, state_dict, strict)

    # ── changing all of it ──────────────────────────────────────────────────────────────────────────

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call a function with every module, children first: `model.apply(initialise)`."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch statistics on, or off with `mode=False`."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to inference."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter be trained, or none: a frozen part of a model gets no gradients."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with `set_to_none=False` fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = Tensor(np.zeros_like(parameter.numpy()))

    def to(self, device: Device | DeviceType | str) -> Self:
        """Move the model: "webgpu", "wasm", "cuda:1", "cpu", or "auto" for the best that there is.

        On a device the model answers and does not learn: in eval mode a call is compiled for the shapes of its inputs
        and runs there, its result without history; in training mode it runs on the CPU and says so. What a device
        cannot do moves the model back to the CPU with a RuntimeWarning, and `device` tells. Raises DeviceError, saying
        why, when the device is not available, UnsupportedError for a name that has nothing behind it.
        """
        target = as_device(device)
        target.require()
        for module in self.modules():
            if module.device.type is not DeviceType.CPU:
                from neurenix import compiled

                compiled.forget(module)
            module.device = target
        return self

    def float(self) -> Self:
        """Turn every floating parameter and buffer to float32."""
        return self._as_float("float32")

    def double(self) -> Self:
        """Turn every floating parameter and buffer to float64, which training and the reference can do."""
        return self._as_float("float64")

    def _as_float(self, name: str) -> Self:
        tensors: Iterable[Tensor] = (*self.parameters(), *self.buffers())
        for tensor in tensors:
            if tensor.dtype.numpy.kind == "f":
                tensor._data = tensor.numpy().astype(name)
        return self


def _argument(given: Any) -> Any:
    """Return arrays, numbers and nested lists of numbers as a tensor, and everything else as it is."""
    if isinstance(given, (np.ndarray, np.generic)):
        return Tensor(given)
    if isinstance(given, list) and _numbers(given):
        return Tensor(given)
    return given


def _numbers(given: Any) -> bool:
    while isinstance(given, list) and given:
        given = given[0]
    return isinstance(given, (bool, int, float, np.generic, np.ndarray))


def _plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))
