"""PyTorch models: through torch's own exporter into the ONNX frontend, their dims carried over.

torch is the user's, never ours: it is imported only when somebody gives one of its models.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.dims import Dim, Shape, evaluate, symbols
from neurenix.dtypes import DType
from neurenix.errors import InputError, MissingExtraError, ModelError, UnsupportedError
from neurenix.frontends.onnx import import_onnx
from neurenix.frontends.signature import DEFAULT_RANGE, DimSpec, checked_dims
from neurenix.graph.graph import Graph
from neurenix.phynexus.reference import run_graph
from neurenix.tensor.input_spec import InputSpec, read_spec

Array = np.ndarray[Any, Any]


def is_torch_model(model: object) -> bool:
    """Say whether this is a torch.nn.Module or an exported program. Imports nothing: whoever has one has torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return isinstance(model, (torch.nn.Module, torch.export.ExportedProgram))


def import_torch(
    model: Any,
    *,
    inputs: Mapping[str, InputSpec] | None = None,
    dims: Mapping[str, DimSpec] | None = None,
    name: str = "model",
) -> Graph:
    """Turn a torch.nn.Module or an exported program into a Graph, in inference mode.

    `inputs` declares each argument of `forward`, in order; an exported program has its own. Raises InputError when a
    module comes without them, UnsupportedError with torch's own words when it cannot export the model.
    """
    torch = _torch()
    if isinstance(model, torch.export.ExportedProgram):
        proto = _exported(torch, model, (), {})
        return import_onnx(proto, inputs=inputs, dims=dims, name=name)
    if not inputs:
        raise InputError(
            f"a {type(model).__name__} of PyTorch does not say what it takes: inputs={{'input': 'float32[batch, 4]'}}"
        )
    specs = {key: read_spec(key, spec) for key, spec in inputs.items()}
    given = checked_dims(dims or {})
    ranges = {
        s: given.get(s, DEFAULT_RANGE) for _, shape in specs.values() for size in shape for s in sorted(symbols(size))
    }
    examples = tuple(_example(torch, of, shape, ranges) for of, shape in specs.values())
    named = {
        symbol: torch.export.Dim(symbol, min=low, max=high) for symbol, (low, high) in ranges.items() if low != high
    }
    shapes = tuple(
        {axis: named[str(s)] for axis, s in enumerate(shape) if isinstance(s, Dim) and str(s) in named}
        for _, shape in specs.values()
    )
    was_training = model.training
    model.eval()
    try:
        proto = _exported(torch, model, examples, {"dynamic_shapes": shapes, "input_names": list(specs)})
        graph = import_onnx(proto, inputs=inputs, dims=dims, name=name)
        if _has_fixed(proto, graph):
            _check_other_sizes(torch, model, graph)
        return graph
    finally:
        model.train(was_training)


def load_exported_program(path: Path) -> Any:
    """Read a .pt2 file, which torch.export.save wrote. Raises ModelError."""
    torch = _torch()
    try:
        return torch.export.load(path)
    except Exception as error:
        raise ModelError(f"'{path}' is no exported program that this torch reads: {_first_line(error)}") from error


def load_weights(path: Path) -> dict[str, Array]:
    """Read the arrays of a .pt or .pth checkpoint without unpickling anything else; there is no fall-back.

    Raises ModelError for a file that holds more than tensors.
    """
    torch = _torch()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"'{path}' holds more than weights, or is damaged ({_first_line(error)}): a pickle may run any code, so "
            "it is not opened; save the state_dict as safetensors"
        ) from error
    state = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise ModelError(f"'{path}' holds a {type(found).__name__}, not a state_dict of tensors")
    return {str(name): tensor.detach().numpy() for name, tensor in state.items()}


def fill(model: Any, state: Mapping[str, Array], path: Path) -> None:
    """Put weights into a torch.nn.Module, every one in its place. Raises ModelError naming those that do not fit."""
    torch = _torch()
    try:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"'{path}' does not fit the architecture {type(model).__name__}: {error}") from None


def _exported(torch: Any, model: Any, examples: tuple[Any, ...], more: Mapping[str, Any]) -> Any:
    try:
        program = torch.onnx.export(model, examples, dynamo=True, verbose=False, **more)
    except ImportError as error:
        raise MissingExtraError("onnxscript", "torch", "exporting a model of PyTorch") from error
    except Exception as error:
        raise UnsupportedError(
            f"PyTorch cannot export the model {type(model).__name__}: {_first_line(error)}"
        ) from error
    return program.model_proto


def _has_fixed(proto: Any, graph: Graph) -> bool:
    """Say whether the exporter wrote down a number for a dimension of the borders that is symbolic."""
    for border, names in ((proto.graph.input, graph.inputs), (proto.graph.output, graph.outputs)):
        for value, name in zip(border, names):
            if any(d.dim_value and isinstance(s, Dim) for d, s in zip(value.type.tensor_type.shape.dim,
                                                                      graph.values[name].shape)):  # fmt: skip
                return True
    return False


def _check_other_sizes(torch: Any, model: Any, graph: Graph) -> None:
    """Compare with the module itself at sizes that the exporter did not see.

    torch's exporter may take a dimension for the number that it was traced at and not say so: most layers do not
    mind, as an LSTM with its length, and some then answer wrongly. Raises UnsupportedError naming the dimensions.
    """
    rng = np.random.default_rng(0)
    for prime in (19, 4):
        sizes = {name: min(high, max(low, prime)) for name, (low, high) in graph.dims.items()}
        feeds = {}
        for name in graph.inputs:
            shape, of = tuple(evaluate(s, sizes) for s in graph.values[name].shape), graph.values[name].dtype.numpy
            feeds[name] = (rng.normal(size=shape) if of.kind == "f" else rng.integers(0, 2, shape)).astype(of)
        with torch.no_grad():
            expected = model(*map(torch.from_numpy, feeds.values()))
        answers = run_graph(graph, feeds, sizes)
        if not all(_agrees(answers[n], e.numpy()) for n, e in zip(graph.outputs, _tensors(expected))):
            raise UnsupportedError(
                f"PyTorch's exporter fixed a dimension of {type(model).__name__} that is declared as symbolic: at "
                f"{', '.join(f'{n}={v}' for n, v in sizes.items())} it answers otherwise; fix it with dims as well"
            )


def _agrees(answer: Array, expected: Array) -> bool:
    return answer.shape == expected.shape and np.allclose(answer, expected, rtol=1e-3, atol=1e-3, equal_nan=True)


def _tensors(value: Any) -> Iterator[Any]:
    """Yield what a module returned, in the order in which the exporter names it."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        yield value
        return
    for item in value:
        yield from _tensors(item)


def _example(torch: Any, of: DType, shape: Shape, ranges: Mapping[str, tuple[int, int]]) -> Any:
    """Return an input to trace with: zeros, at sizes that torch does not take for constants as it does 0 and 1."""
    # Different primes for different dims, so that no two are equal by chance.
    values = {
        s: min(high, max(low, prime)) for (s, (low, high)), prime in zip(ranges.items(), (2, 3, 5, 7, 11, 13, 17))
    }
    return torch.zeros(tuple(evaluate(s, values) for s in shape), dtype=getattr(torch, of.name))


def _torch() -> Any:
    try:
        import torch
        import torch.onnx
    except ImportError as error:
        raise MissingExtraError("torch", "torch", "reading a model of PyTorch") from error
    return torch


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
