"""Traces a Module into a Graph: one forward pass in which every tensor stands for a value to come."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from neurenix.autograd import no_grad
from neurenix.dims import Dim, Ranges, Shape, symbols
from neurenix.dtypes import DType, dtype
from neurenix.errors import GraphError, InputError
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph, Layer
from neurenix.nn import Conv2d, Linear, Module, Sequential
from neurenix.tensor import Tensor
from neurenix.tensor.input_spec import InputSpec, read_spec

DEFAULT_RANGE = (1, 64)


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
    given = {n: Tensor(builder.input(n, of, shape)) for n, (of, shape) in specs.items()}
    order = argument_order(model, specs)
    was_training = {m: m.training for _, m in model.named_modules()}
    model.eval()
    try:
        with no_grad(), builder.recording():
            result = call_named(model, given)
            outputs = _named_outputs(result, builder)
            graph = builder.finish(outputs, layers(model), getattr(model, "browser_device", "auto"))
            known = zip(order, getattr(entrance(model), "input_spreads", ()))  # noted by who has trained it
            return replace(graph, spreads={name: spread for name, spread in known if spread is not None})
    finally:
        for module, mode in was_training.items():
            module.training = mode


def argument_order(model: Module, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of inputs in the order of `forward`'s arguments, where all are such; else as they are."""
    given, known = tuple(names), _arguments(model)
    return tuple(name for name in known if name in given) if set(given) <= {*known} else given


def call_named(model: Module, given: Mapping[str, Tensor]) -> Any:
    """Return what a model makes of inputs that are named as its arguments are, or else come in their order."""
    order, known = argument_order(model, given), _arguments(model)
    if not set(order) <= {*known}:
        return model(*given.values())
    count = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(order, known)))
    # Behind an argument that is left out, those that follow go by name.
    return model(*(given[n] for n in order[:count]), **{n: given[n] for n in order[count:]})


def _arguments(model: Module) -> tuple[str, ...]:
    parameters = inspect.signature(model.forward).parameters.values()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def layers(model: Module) -> list[Layer]:
    """Describe what a model is made of, in order: its leaves, and whatever else owns parameters."""
    found = []
    for name, module in model.named_modules():
        own = (*module.named_parameters(name, recurse=False), *module.named_buffers(name, recurse=False))
        names = tuple(parameter for parameter, _ in own)
        if names or not any(True for _ in module.children()):
            found.append(Layer(name, type(module).__name__, dict(module.config()), names))
    return found


def entrance(model: Module) -> Module:
    """Return the module that meets the model's inputs: of a Sequential the first one, of all others themselves."""
    while isinstance(model, Sequential) and len(model):
        model = model[0]
    return model


def infer_inputs(model: Module) -> dict[str, tuple[DType, Shape]]:
    """Return the input that a model's first layer fixes, named "input"; raises InputError when it fixes none."""
    first = entrance(model)
    if isinstance(first, Linear):
        return {"input": (dtype("float32"), (Dim.symbol("batch"), first.in_features))}
    asked = "'float32[batch, 3, 224, 224]'" if isinstance(first, Conv2d) else "'float32[batch, 4]'"
    raise InputError(
        f"the input shape cannot be inferred from the first layer, {type(first).__name__}: pass "
        f"inputs={{'input': {asked}}}, a shape, or an example array"
    )


def _ranges(specs: Mapping[str, tuple[DType, Shape]], dims: Mapping[str, tuple[int, int]]) -> Ranges:
    used = [s for _, shape in specs.values() for size in shape for s in sorted(symbols(size))]
    unknown = sorted(set(dims) - set(used))
    if unknown:
        raise InputError(f"dims names '{unknown[0]}', which no input has; the inputs have {', '.join(used) or 'none'}")
    for name, (low, high) in dims.items():
        if not 0 <= low <= high or high < 1:
            raise InputError(f"dims: '{name}' must have 0 <= min <= max and a max of at least 1, got {low}..{high}")
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
