"""Runs a Module on the device that it was moved to: compiled once for each shape of its inputs, and held to the CPU.

A model on a device answers there and learns on the CPU. In eval mode a call is traced, compiled to a plan and run by
the device's engine; the first answer for each shape is compared with the model's own on the CPU before any is trusted.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from neurenix import engines
from neurenix.autograd import is_grad_enabled
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.device import Device, warn
from neurenix.errors import GraphError, InputError, NeurenixError, VerificationError
from neurenix.graph.builder import active_builder
from neurenix.tensor import Tensor
from neurenix.trace import trace

if TYPE_CHECKING:
    from neurenix.nn.module import Module

Array = np.ndarray[Any, Any]

# How far an answer may be from the CPU's, as a share of the largest number in it.
TOLERANCE = 1e-3
# How many shapes of inputs a model keeps engines for, each with its own copy of the parameters; the oldest goes first.
SHAPES = 8

_CONSTANTS = (type(None), bool, int, float, str)
_inside: ContextVar[bool] = ContextVar("inside", default=False)


@dataclass(frozen=True)
class _Leaf:
    """The place of a tensor in nested arguments or results."""

    index: int


class TooLargeError(Exception):
    """A call has whole numbers for which the device's may have too few bits."""


@dataclass
class _Compiled:
    """An engine for one shape of inputs: the names of what it takes and gives, and the structure of the result."""

    engine: engines.Engine
    inputs: tuple[str, ...]
    structure: Any
    parameters: tuple[int, ...]

    def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Return the engine's answers. Raises TooLargeError where the CPU has to give them, this time."""
        try:
            return self.engine.run(dict(zip(self.inputs, arrays)), {})
        except InputError as error:  # names, shapes and dtypes are what it was compiled for: it is about values
            raise TooLargeError from error

    def answer(self, arrays: Sequence[Array]) -> Any:
        answers = self.run(arrays)
        return _fill(self.structure, [Tensor(answers[f"y{i}"]) for i in range(len(answers))])


class _Placed:
    """What a module keeps while it is on a device."""

    def __init__(self) -> None:
        self.compiled: OrderedDict[Any, _Compiled] = OrderedDict()
        self.lock = threading.RLock()
        self.said: set[str] = set()


_placed: WeakKeyDictionary[Module, _Placed] = WeakKeyDictionary()


def forget(module: Module) -> None:
    """Let go of the engines that a module keeps."""
    _placed.pop(module, None)


def run(module: Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Return what `module.forward` returns, computed on the module's device where that is possible.

    It is not in training mode, nor for inputs that require gradients, nor for arguments that are no tensors, numbers,
    texts or nested tuples, lists and dicts of them, nor for whole numbers that are too large for the device: then the
    CPU answers, with a warning the first time. What the device cannot do, or does wrongly, moves the module back to the
    CPU, with a warning: `module.device` tells.
    """
    if _inside.get() or active_builder() is not None:
        return module.forward(*arguments, **named)
    placed = _placed.setdefault(module, _Placed())
    tensors: list[Tensor] = []
    try:
        structure = _flatten((arguments, dict(named)), tensors)
    except TypeError as error:
        return _on_cpu(module, placed, arguments, named, f"it was called with {error}")
    if module.training:
        return _on_cpu(module, placed, arguments, named, "it is in training mode; model.eval() is for answers")
    if is_grad_enabled() and any(t.requires_grad for t in tensors):
        return _on_cpu(module, placed, arguments, named, "its input requires gradients; no_grad() is for answers")
    arrays = [np.ascontiguousarray(t.numpy()).reshape(t.numpy().shape) for t in tensors]  # a scalar stays one
    key = (module.device, repr(structure), tuple((a.shape, a.dtype.name) for a in arrays))
    # Parameters that have changed since, be it in place, are in no engine yet.
    parameters = tuple(zlib.crc32(a) for a in _states(module))
    expected = None
    try:
        with placed.lock:
            found = placed.compiled.get(key)
            if found is None or found.parameters != parameters:
                found = None
                expected = _forward(module, arguments, named)  # first, since what is wrong with the call shows here
                found = placed.compiled[key] = _compile(module, arrays, structure, parameters, expected)
                while len(placed.compiled) > SHAPES:
                    placed.compiled.popitem(last=False)
            placed.compiled.move_to_end(key)
        return found.answer(arrays)
    except TooLargeError:
        return _on_cpu(module, placed, arguments, named, "it was given whole numbers that are too large there")
    except NeurenixError as error:
        if expected is None and found is None:
            raise  # the call itself is wrong, and would be so anywhere
        warn(f"{type(module).__name__} left {module.device} and is on the CPU now: {error}")
        module.to(Device())
        return _forward(module, arguments, named) if expected is None else expected


def _states(module: Module) -> Iterator[memoryview]:
    for tensor in (*module.parameters(), *module.buffers()):
        yield np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data


def _compile(
    module: Module, arrays: Sequence[Array], structure: Any, parameters: tuple[int, ...], expected: Any
) -> _Compiled:
    """Return an engine for inputs like these. Raises VerificationError where it does not answer as expected."""
    names = tuple(f"x{i}" for i in range(len(arrays)))
    graph = trace(_call(module, structure), {n: _spec(a) for n, a in zip(names, arrays)}, name="module")
    plan, weights = schedule(passes.run(graph))
    started = engines.start(module.device, plan, weights)
    tensors: list[Tensor] = []
    found = _Compiled(started.engine, names, _flatten(expected, tensors), parameters)
    answers = found.run(arrays)
    for i, tensor in enumerate(tensors):
        error = _error(answers[f"y{i}"], tensor.numpy())
        if not error <= TOLERANCE:
            raise VerificationError(
                f"its answer there ({started.variant}) is off by {error:.2g} of its largest number, the limit is "
                f"{TOLERANCE:.0e}"
            )
    return found


def _spec(array: Array) -> str:
    return f"{array.dtype.name}[{', '.join(map(str, array.shape))}]"


def _error(actual: Array, expected: Array) -> float:
    """Return the largest difference as a share of the largest finite number; infinite where just one is no number."""
    a, e = actual.astype(np.float64), expected.astype(np.float64)
    if a.shape != e.shape or (np.isnan(a) != np.isnan(e)).any():
        return float("inf")
    scale = max(np.abs(e[np.isfinite(e)]).max(initial=0.0), 1e-4)
    with np.errstate(invalid="ignore"):
        return float(np.where((a == e) | np.isnan(e), 0.0, np.abs(a - e)).max(initial=0.0) / scale)


def _call(module: Module, structure: Any) -> Any:
    """Return a module of tensors alone that calls `module.forward` with the structure around them.

    Its own hooks are the caller's business: only those of the modules inside are traced.
    """
    from neurenix.nn.module import Module as Parent

    class Call(Parent):
        def forward(self, *tensors: Any) -> dict[str, Tensor]:
            arguments, named = _fill(structure, tensors)
            found: list[Tensor] = []
            try:
                _flatten(_forward(module, arguments, named), found)
            except TypeError as error:
                raise GraphError(f"forward() returned {error}") from None
            if not found:
                raise GraphError("forward() returned no tensor")
            return {f"y{i}": tensor for i, tensor in enumerate(found)}

    call = Call()
    call.module = module
    return call


def _on_cpu(module: Module, placed: _Placed, arguments: Iterable[Any], named: Mapping[str, Any], reason: str) -> Any:
    if reason not in placed.said:
        placed.said.add(reason)
        warn(f"{type(module).__name__} is on {module.device} and this call runs on the CPU: {reason}")
    return _forward(module, arguments, named)


def _forward(module: Module, arguments: Iterable[Any], named: Mapping[str, Any]) -> Any:
    """Run the model here: no module inside goes anywhere else."""
    token = _inside.set(True)
    try:
        return module.forward(*arguments, **named)
    finally:
        _inside.reset(token)


def _flatten(tree: Any, tensors: list[Tensor]) -> Any:
    """Return nested arguments with a leaf for each tensor, which go to the list. Raises TypeError for anything else."""
    if isinstance(tree, Tensor):
        tensors.append(tree)
        return _Leaf(len(tensors) - 1)
    if isinstance(tree, Mapping):
        return {key: _flatten(value, tensors) for key, value in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_flatten(value, tensors) for value in tree)
    if isinstance(tree, _CONSTANTS):
        return tree
    raise TypeError(f"a {type(tree).__name__}, which is no tensor")


def _fill(tree: Any, tensors: Sequence[Tensor]) -> Any:
    if isinstance(tree, _Leaf):
        return tensors[tree.index]
    if isinstance(tree, dict):
        return {key: _fill(value, tensors) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(_fill(value, tensors) for value in tree)
    return tree
