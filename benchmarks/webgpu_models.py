"""The models that engines are compared on: plain layers with seeded weights, written for each engine from one list."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Layer:
    """One layer: "conv", "depthwise", "dense" or "mean" over an image. Images are as TensorFlow's, channels last.

    A convolution's weights are (KH, KW, in, out) or (KH, KW, channels, 1), padded as TensorFlow's SAME; `add` is the
    number of an earlier layer whose output is added to this one's.
    """

    kind: str
    shape: tuple[int, ...] = ()
    stride: int = 1
    activation: str = ""
    add: int | None = None


@dataclass(frozen=True)
class Model:
    """Layers and the shape of the one image or row that goes in, channels last."""

    name: str
    layers: Sequence[Layer]
    shape: tuple[int, ...]

    def weights(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return the weight and the bias of every layer that has them, such that activations keep their size."""
        rng = np.random.default_rng(0)
        made = []
        for layer in self.layers:
            if layer.shape:
                outputs = layer.shape[2] if layer.kind == "depthwise" else layer.shape[-1]
                inputs = int(np.prod(layer.shape)) / outputs
                weight = rng.normal(scale=(2 / inputs) ** 0.5, size=layer.shape)
                made.append((weight.astype(np.float32), rng.normal(scale=0.1, size=outputs).astype(np.float32)))
        return made

    def image(self) -> NDArray[np.float32]:
        return np.random.default_rng(1).normal(size=self.shape).astype(np.float32)


def mlp() -> Model:
    widths = (784, 256, 128, 10)
    layers = [Layer("dense", pair, activation="relu") for pair in itertools.pairwise(widths)]
    return Model("mlp", [*layers[:-1], Layer("dense", widths[-2:])], (1, 784))


def mobilenet() -> Model:
    """MobileNetV2 for images of 96 by 96."""
    layers, c = [Layer("conv", (3, 3, 3, 32), 2, "relu6")], 32
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for t, o, n, s in rows:
        for i in range(n):
            before, stride = len(layers) - 1, s if i == 0 else 1
            if t > 1:
                layers.append(Layer("conv", (1, 1, c, t * c), activation="relu6"))
            layers.append(Layer("depthwise", (3, 3, t * c, 1), stride, "relu6"))
            layers.append(Layer("conv", (1, 1, t * c, o), add=before if stride == 1 and o == c else None))
            c = o
    layers += [Layer("conv", (1, 1, c, 1280), activation="relu6"), Layer("mean"), Layer("dense", (1280, 1000))]
    return Model("mobilenet", layers, (1, 96, 96, 3))


MODELS: dict[str, Callable[[], Model]] = {"mlp": mlp, "mobilenet": mobilenet}


def write_layers(model: Model, folder: Path) -> None:
    """Write what TensorFlow.js and the converter for LiteRT build the model from: layers.json and layers.bin."""
    rows = {"shape": model.shape, "layers": [asdict(layer) for layer in model.layers]}
    (folder / "layers.json").write_text(json.dumps(rows))
    (folder / "layers.bin").write_bytes(b"".join(a.tobytes() for pair in model.weights() for a in pair))
    (folder / "image.bin").write_bytes(model.image().tobytes())


def write_onnx(model: Model, path: Path) -> None:
    """Write the model as ONNX, whose images are channels first."""
    nodes, constants, given, last = [], [], iter(model.weights()), "image"
    side = model.shape[1]
    for i, layer in enumerate(model.layers):
        name = f"layer{i}"
        if layer.kind == "mean":
            nodes.append(helper.make_node("GlobalAveragePool", [last], [f"{name}_mean"]))
            nodes.append(helper.make_node("Flatten", [f"{name}_mean"], [name]))
            last = name
            continue
        weight, bias = next(given)
        attrs = {}
        if layer.kind != "dense":
            pad = max((-(-side // layer.stride) - 1) * layer.stride + layer.shape[0] - side, 0)
            side = -(-side // layer.stride)
            groups = weight.shape[2] if layer.kind == "depthwise" else 1
            weight = weight.transpose(2, 3, 0, 1) if groups > 1 else weight.transpose(3, 2, 0, 1)
            attrs = {"strides": [layer.stride] * 2, "group": groups, "pads": [pad // 2] * 2 + [pad - pad // 2] * 2}
        constants += [numpy_helper.from_array(np.ascontiguousarray(weight), f"{name}_w")]
        constants += [numpy_helper.from_array(bias, f"{name}_b")]
        outputs = [
            f"{name}_{step}" for step, has in (("sum", layer.activation), ("alone", layer.add is not None)) if has
        ]
        made = outputs[0] if outputs else name
        op = "Gemm" if layer.kind == "dense" else "Conv"
        nodes.append(helper.make_node(op, [last, f"{name}_w", f"{name}_b"], [made], **attrs))
        if layer.activation == "relu":
            nodes.append(helper.make_node("Relu", [made], [name]))
        elif layer.activation == "relu6":
            nodes.append(helper.make_node("Clip", [made, "zero", "six"], [name]))
        if layer.add is not None:
            nodes.append(helper.make_node("Add", [made, f"layer{layer.add}"], [name]))
        last = name
    if any(layer.activation == "relu6" for layer in model.layers):
        constants += [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0), ("six", 6))]
    first = (1, *model.shape[:0:-1][:1], *model.shape[1:-1]) if len(model.shape) == 4 else model.shape
    width = next(layer.shape[-1] for layer in reversed(model.layers) if layer.shape)
    graph = helper.make_graph(
        nodes, model.name, [helper.make_tensor_value_info("image", TensorProto.FLOAT, first)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, (1, width))], constants,
    )  # fmt: skip
    made_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made_model)
    onnx.save(made_model, path)
