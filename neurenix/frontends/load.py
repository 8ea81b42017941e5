"""load(): a model file, or a model of another framework, to a Graph, by what it is."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union

from neurenix.errors import InputError, ModelError
from neurenix.frontends import torch as pytorch
from neurenix.frontends.onnx import load_onnx
from neurenix.frontends.signature import DimSpec, checked_dims
from neurenix.graph.graph import Graph
from neurenix.nn import Module
from neurenix.state import load as load_arrays
from neurenix.tensor.input_spec import InputSpec
from neurenix.trace import trace

Architecture = Union[str, Callable[[], Any]]

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_CHECKPOINTS = (".safetensors", ".pt", ".pth")


def load(
    source: str | os.PathLike[str] | Module | Any,
    *,
    inputs: Mapping[str, InputSpec] | None = None,
    dims: Mapping[str, DimSpec] | None = None,
    constants: Mapping[str, Any] | None = None,
    architecture: Architecture | None = None,
    name: str | None = None,
) -> Graph:
    """Read a model that nobody here wrote into a Graph.

    `source` is an `.onnx` file, a `.pt2` file, weights (`.safetensors`, `.pt`, `.pth`) together with the `architecture`
    that they fill, a torch.nn.Module or exported program, or `"module:function"` that returns one of all these.
    `architecture` is a function without arguments, or its `"module:function"`, that returns a Module of Neurenix or
    PyTorch. `inputs` gives inputs another shape than the file's, as in `{"image": "float32[batch, 3, 224, 224]"}`, and
    declares those of a module; `dims` gives each symbolic dimension its range `(min, max)`, or one number to fix it;
    `constants` fixes inputs of an ONNX model to values that are then part of it. Raises ModelError for a file that
    breaks its format's rules and UnsupportedError for what this version cannot run; both name the node.
    """
    if isinstance(source, str) and _FUNCTION.fullmatch(source):
        found = _imported(source)()
        return load(
            found, inputs=inputs, dims=dims, constants=constants, architecture=architecture,
            name=name or plain_model_name(source.partition(":")[2]),
        )  # fmt: skip
    if not isinstance(source, (str, os.PathLike)):
        return _from_model(source, inputs, dims, name or plain_model_name(type(source).__name__))
    path = Path(source)
    called, suffix = name or plain_model_name(path.stem), path.suffix.lower()
    if suffix in _CHECKPOINTS:
        return _from_model(_filled(path, architecture), inputs, dims, called)
    if architecture is not None:
        raise InputError(f"architecture goes with weights ({', '.join(_CHECKPOINTS)}); '{path.name}' is a whole model")
    if suffix == ".pt2":
        return pytorch.import_torch(pytorch.load_exported_program(path), inputs=inputs, dims=dims, name=called)
    if suffix == ".onnx":
        return load_onnx(path, inputs=inputs, dims=dims, constants=constants, name=called)
    raise InputError(f"'{path}' is no model that can be read: .onnx, .pt2, {', '.join(_CHECKPOINTS)} are")


def plain_model_name(text: str) -> str:
    """Return a name that a model can have, made from a file's or a function's."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()).strip("_")[:64]
    return kept if kept[:1].isalpha() else f"model_{kept}"[:64]


def _from_model(
    model: Any, inputs: Mapping[str, InputSpec] | None, dims: Mapping[str, DimSpec] | None, name: str
) -> Graph:
    if isinstance(model, Graph):
        return model
    if isinstance(model, Module):
        return trace(model, inputs, checked_dims(dims or {}), name)
    if pytorch.is_torch_model(model):
        return pytorch.import_torch(model, inputs=inputs, dims=dims, name=name)
    raise InputError(f"a {type(model).__name__} is no model: a file's path, a Module of Neurenix or PyTorch is")


def _filled(path: Path, architecture: Architecture | None) -> Any:
    """Return the architecture with the file's weights in it."""
    if architecture is None:
        raise InputError(
            f"'{path.name}' holds weights alone: architecture='module:function' names what builds "
            "the model that they fill"
        )
    if not path.is_file():
        raise ModelError(f"'{path}' cannot be read: there is no such file")
    model = (_imported(architecture) if isinstance(architecture, str) else architecture)()
    safe = path.suffix.lower() == ".safetensors"
    if isinstance(model, Module):
        model.load_state_dict(load_arrays(path) if safe else pytorch.load_weights(path))
        return model
    if not pytorch.is_torch_model(model):
        raise InputError(f"the architecture returned a {type(model).__name__}, not a Module of Neurenix or PyTorch")
    pytorch.fill(model, load_arrays(path) if safe else pytorch.load_weights(path), path)
    return model


def _imported(text: str) -> Callable[[], Any]:
    module, _, attribute = text.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"'{text}' cannot be imported: {error}") from error
    if not callable(found):
        raise InputError(f"'{text}' is a {type(found).__name__}, not a function")
    function: Callable[[], Any] = found
    return function
