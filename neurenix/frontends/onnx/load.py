"""Reads an ONNX file: checks it, names its inputs and dims, runs its nodes and returns the Graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.autograd import no_grad
from neurenix.dims import Size
from neurenix.errors import InputError, MissingExtraError, ModelError, UnsupportedError
from neurenix.frontends.onnx.importer import MISTAKES, Environment, Importer
from neurenix.frontends.onnx.symbolic import Value, materialized
from neurenix.frontends.onnx.tensors import TensorReader, element_type
from neurenix.frontends.signature import Dims, DimSpec, checked_dims, plain_name
from neurenix.graph.builder import GraphBuilder
from neurenix.graph.graph import Graph
from neurenix.tensor import Tensor
from neurenix.tensor.input_spec import InputSpec
from neurenix.tensor.limits import largest_result

# Older opsets have other meanings for the same names; newer ones than the onnx package knows cannot be expanded.
OLDEST_OPSET = 7
# Constants are folded up to this many bytes each; what is larger is no constant of a model that could ship.
LARGEST_RESULT = 1 << 30


def load_onnx(
    path: Path,
    *,
    inputs: Mapping[str, InputSpec] | None = None,
    dims: Mapping[str, DimSpec] | None = None,
    constants: Mapping[str, Any] | None = None,
    name: str = "model",
) -> Graph:
    """Read an .onnx file into a Graph. Raises ModelError, UnsupportedError or InputError."""
    model = read_model(path)
    return import_onnx(model, inputs=inputs, dims=dims, constants=constants, name=name, folder=path.parent)


def read_model(path: Path) -> Any:
    """Return the ModelProto of an .onnx file, with nothing checked but that it is one. Raises ModelError."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", f"reading '{path.name}'") from error
    from google.protobuf.message import DecodeError

    try:
        return onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read: {error.strerror}") from None
    except (DecodeError, RuntimeError) as error:
        raise ModelError(f"'{path}' is no ONNX model: {error}") from None


def import_onnx(
    model: Any,
    *,
    inputs: Mapping[str, InputSpec] | None = None,
    dims: Mapping[str, DimSpec] | None = None,
    constants: Mapping[str, Any] | None = None,
    name: str = "model",
    folder: Path | None = None,
) -> Graph:
    """Turn a ModelProto into a Graph; see `neurenix.frontends.load` for the arguments."""
    try:
        return _imported(model, inputs or {}, dims or {}, constants or {}, name, folder)
    except MISTAKES as error:
        # A name that is no text, a field of another kind: what nodes raise is already a ModelError that names them.
        raise ModelError(f"the model is malformed: {type(error).__name__}: {error}") from error


def _imported(
    model: Any,
    inputs: Mapping[str, InputSpec],
    dims: Mapping[str, DimSpec],
    constants: Mapping[str, Any],
    name: str,
    folder: Path | None,
) -> Graph:
    graph, opsets = model.graph, _opsets(model)
    read = TensorReader(folder)
    functions = {("" if f.domain == "ai.onnx" else f.domain, f.name): f for f in model.functions}
    defaults = {t.name for t in graph.initializer}
    asked = [i for i in graph.input if i.name not in defaults]
    names = _plain_names([i.name for i in asked])
    fixed = _fixed(constants, names)
    found = Dims(checked_dims(dims), known={plain_name(d, stem="dim") for d in _dim_params(asked)})
    declared = {_original(n, names, "inputs"): spec for n, spec in inputs.items()}
    builder = GraphBuilder(name, found.ranges)
    importer = Importer(builder, opsets, functions, read, found.ranges, {})
    builder.names = importer.names
    environment: Environment = {}
    with no_grad(), builder.recording(), largest_result(LARGEST_RESULT):
        for value in asked:
            plain = names[value.name]
            if value.name in fixed:
                environment[value.name] = Tensor(_constant(value, fixed[value.name]))
                continue
            of, shape = _signature(value, plain, declared, found)
            environment[value.name] = Tensor(builder.input(plain, of, shape))
        found.check_used()
        importer.run(graph, environment)
        return builder.finish(_outputs(graph, environment, builder, set(names.values())))


def _opsets(model: Any) -> dict[str, int]:
    import onnx

    opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opsets.get("", newest) <= newest:
        raise UnsupportedError(
            f"the model uses opset {opsets['']}; supported are {OLDEST_OPSET} to {newest}: convert it with "
            "onnx.version_converter" + ("" if opsets[""] < OLDEST_OPSET else ", or install a newer onnx")
        )
    return opsets


def _plain_names(names: list[str]) -> dict[str, str]:
    """Give every input a name that can be a key in JavaScript."""
    plain: dict[str, str] = {}
    for name in names:
        plain[name] = plain_name(name, plain.values(), "input")
    return plain


def _original(name: str, names: Mapping[str, str], argument: str) -> str:
    """Return the file's name for an input that the user calls by its own name or by the plain one."""
    for original, plain in names.items():
        if name in (original, plain):
            return original
    raise InputError(f"{argument} names '{name}', which is no input of the model; it has {', '.join(names.values())}")


def _fixed(constants: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {_original(name, names, "constants"): value for name, value in constants.items()}


def _dim_params(inputs: list[Any]) -> set[str]:
    return {d.dim_param for i in inputs for d in i.type.tensor_type.shape.dim if d.dim_param}


def _signature(value: Any, plain: str, declared: Mapping[str, InputSpec], dims: Dims) -> Any:
    """Return an input's dtype and shape: the user's declaration, else the file's."""
    if value.type.WhichOneof("value") != "tensor_type":
        raise UnsupportedError(f"the input '{value.name}' is a {value.type.WhichOneof('value')}; tensors are supported")
    of = element_type(value.type.tensor_type.elem_type, f"the input '{value.name}'")
    if value.name in declared:
        kind, wanted = dims.declared(plain, declared[value.name])
        if kind != of:
            raise InputError(f"inputs: '{value.name}' is {of} in the model, not {kind}")
        return of, wanted
    if not value.type.tensor_type.HasField("shape"):
        raise InputError(
            f"the model does not give the shape of its input '{value.name}': inputs={{'{plain}': '{of}[…]'}}"
        )
    shape: list[Size] = []
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if dim.dim_param:
            shape.append(dims.named(dim.dim_param))
        elif dim.HasField("dim_value") and dim.dim_value >= 0:
            shape.append(dim.dim_value)
        else:
            shape.append(dims.unnamed(f"{plain}_{axis}"))
    return of, tuple(shape)


def _constant(value: Any, given: Any) -> np.ndarray[Any, Any]:
    of = element_type(value.type.tensor_type.elem_type, f"the input '{value.name}'")
    return np.array(given, dtype=of.numpy)


def _outputs(graph: Any, environment: Environment, builder: GraphBuilder, taken: set[str]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for output in graph.output:
        value: Value | None = environment.get(output.name)
        if value is None:
            raise ModelError(f"nothing makes the output '{output.name}'")
        tensor = materialized(value)
        outputs[plain_name(output.name, {*outputs, *taken}, "output")] = tensor.traced or builder.constant(
            tensor.numpy()
        )
    return outputs
