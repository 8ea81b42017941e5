"""Traces a Module into a Graph: one forward pass in which every tensor stands for a value to come."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from neurenix.autograd import no_grad
from neurenix.dims import Dim, Ranges, Shape, Size, symbols
from neurenix.dtypes import DType, dtype
from neurenix.errors import GraphError, InputError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph, Layer
from neurenix.nn.layers import Conv2d, Linear, Sequential
from neurenix.nn.module import Module
from neurenix.tensor import Tensor

InputSpec = Union[str, Sequence[int | str], "np.ndarray[Any, Any]", Tensor]
DEFAULT_RANGE = (1, 64)

_SPEC = re.compile(r"\s*([a-z]\w*)\s*\[([^\]]*)\]\s*")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def trace(
    model: Module,
    inputs: Mapping[str, InputSpec] | None = None,
    dims: Mapping[str, tuple[int, int]] | None = None,
    name: str = "model",
) -> Graph:
    """Run `model.forward` once on symbols and return the Graph that it drew, in inference mode.

    `inputs` maps each argument's name to a `"float32[batch, 4]"` string, a shape such as `("batch", 4)`, or
    an example array, whose first axis becomes "batch". Without it the shape is inferred where the first
    layer fixes it. `dims` gives the range of each symbol, (1, 64) by default. Raises InputError when the
    inputs cannot be inferred or read.
    """
    specs = infer_inputs(model) if inputs is None else {k: read_spec(k, v) for k, v in inputs.items()}
    if not specs:
        raise InputError("a model needs at least one input: inputs={'x': 'float32[batch, 4]'}")
    ranges = _ranges(specs, dims or {})
    parameters = (*model.named_parameters(), *model.named_buffers())
    builder = GraphBuilder(
        name,
        ranges,
        names={id(t.numpy()): n for n, t in parameters},
        modules={id(m): n for n, m in model.named_modules()},
    )
    arguments = [Tensor(builder.input(n, of, shape)) for n, (of, shape) in specs.items()]
    was_training = {m: m.training for _, m in model.named_modules()}
    model.eval()
    try:
        with no_grad(), builder.recording():
            result = model(*arguments)
            outputs = _named_outputs(result, builder)
            return builder.finish(outputs, layers(model), getattr(model, "browser_device", "auto"))
    finally:
        for module, mode in was_training.items():
            module.training = mode


def layers(model: Module) -> list[Layer]:
    """Describe the leaves of a model in their order."""
    found = []
    for name, module in model.named_modules():
        if not any(True for _ in module.children()):
            own = [*module.__dict__["_parameters"], *module.__dict__["_buffers"]]
            names = tuple(f"{name}.{p}" if name else p for p in own)
            found.append(Layer(name, type(module).__name__, dict(module.config()), names))
    return found


def infer_inputs(model: Module) -> dict[str, tuple[DType, Shape]]:
    """Return the input that a model's first layer fixes, named "input"; raises InputError when it fixes none."""
    first = model
    while isinstance(first, Sequential) and len(first):
        first = first[0]
    if isinstance(first, Linear):
        return {"input": (dtype("float32"), (Dim.symbol("batch"), first.in_features))}
    asked = "'float32[batch, 3, 224, 224]'" if isinstance(first, Conv2d) else "'float32[batch, 4]'"
    raise InputError(
        f"the input shape cannot be inferred from the first layer, {type(first).__name__}: pass "
        f"inputs={{'input': {asked}}}, a shape, or an example array"
    )


def read_spec(name: str, spec: InputSpec) -> tuple[DType, Shape]:
    """Read one input's declaration. Raises InputError naming what is wrong with it."""
    if not _NAME.fullmatch(name):
        raise InputError(f"the input name '{name}' must match [a-z][a-z0-9_]*, so that it can be a key in JavaScript")
    if isinstance(spec, (np.ndarray, Tensor)):
        array = spec.numpy() if isinstance(spec, Tensor) else spec
        kind = "float32" if array.dtype == np.float64 else array.dtype
        batch: Shape = (Dim.symbol("batch"),) if array.ndim else ()
        return dtype(kind), (*batch, *array.shape[1:])
    if isinstance(spec, str):
        match = _SPEC.fullmatch(spec)
        if not match:
            raise InputError(f"input '{name}': '{spec}' is not of the form 'float32[batch, 4]'")
        kind, sizes = match.group(1), [s.strip() for s in match.group(2).split(",") if s.strip()]
        return dtype(kind), tuple(_size(name, int(s) if s.lstrip("-").isdigit() else s) for s in sizes)
    return dtype("float32"), tuple(_size(name, s) for s in spec)


def _size(name: str, size: int | str) -> Size:
    if isinstance(size, str):
        if not _NAME.fullmatch(size):
            raise InputError(f"input '{name}': the dimension '{size}' must match [a-z][a-z0-9_]*")
        return Dim.symbol(size)
    if size < 1:
        raise InputError(f"input '{name}': the size {size} must be at least 1; name it if it varies, as in [batch, 4]")
    return int(size)


def _ranges(specs: Mapping[str, tuple[DType, Shape]], dims: Mapping[str, tuple[int, int]]) -> Ranges:
    used = [s for _, shape in specs.values() for size in shape for s in sorted(symbols(size))]
    unknown = sorted(set(dims) - set(used))
    if unknown:
        raise InputError(f"dims names '{unknown[0]}', which no input has; the inputs have {', '.join(used) or 'none'}")
    for name, (low, high) in dims.items():
        if not 1 <= low <= high:
            raise InputError(f"dims: '{name}' must have 1 <= min <= max, got {low}..{high}")
    return {name: tuple(dims.get(name, DEFAULT_RANGE)) for name in dict.fromkeys(used)}  # type: ignore[misc]


def _named_outputs(result: Any, builder: GraphBuilder) -> dict[str, Any]:
    if isinstance(result, Tensor):
        named = {"output": result}
    elif isinstance(result, Mapping):
        named = dict(result)
    elif isinstance(result, (tuple, list)):
        named = {f"output_{i}": r for i, r in enumerate(result)}
    else:
        named = {"output": result}
    for key, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise GraphError(f"forward() must return tensors; '{key}' is a {type(tensor).__name__}")
    return {k: t.traced or builder.constant(t.numpy()) for k, t in named.items()}
