"""ONNX's layers beside onnxruntime's: recurrent forms, resizing, convolutions, pools and integers in drawn settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from onnx_models import model, node

from neurenix.frontends.onnx import import_onnx
from neurenix.phynexus.reference import run_graph

pytestmark = pytest.mark.peers
onnxruntime.set_default_logger_severity(4)

Array = np.ndarray[Any, Any]
MICROSOFT = "com.microsoft"


def floats(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def compare(proto: onnx.ModelProto, feeds: Mapping[str, Array], tolerance: float = 1e-4, off: int = 0) -> None:
    """Run a model on both; integers may be off by `off`, floats by a part of the largest."""
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(None, dict(feeds))
    except Exception as error:  # onnxruntime has many, and none in common but this
        if "NOT_IMPLEMENTED" not in str(error) and "NotImplemented" not in type(error).__name__:
            raise
        event("onnxruntime has no such kernel")
        assume(False)
    if not all(e.size for e in expected):  # a Resize to nothing, which we refuse
        assume(False)
    actual = run_graph(import_onnx(proto), feeds, {})
    first = proto.graph.node[0]
    if "Softplus" in str(first.attribute) and not all(np.isfinite(e).all() for e in expected):
        assert all(np.isfinite(a).all() for a in actual.values())
        event("onnxruntime's softplus, log(1 + e^x), is infinite beyond 88")
        assume(False)
    what = f"{first.op_type} {[(a.name, onnx.helper.get_attribute_value(a)) for a in first.attribute]}"
    for want, have in zip(expected, actual.values(), strict=True):
        assert (want.shape, want.dtype) == (have.shape, have.dtype), what
        if want.dtype.kind == "f":
            largest = float(np.abs(want).max(initial=1.0))
            np.testing.assert_allclose(have, want, rtol=0, atol=tolerance * largest, err_msg=what)
        else:
            np.testing.assert_allclose(have.astype(np.int64), want.astype(np.int64), rtol=0, atol=off, err_msg=what)


# ── recurrent layers ────────────────────────────────────────────────────────────────────────────────

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FUNCTIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}
ACTIVATIONS = (
    "Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",
    "Softsign", "Softplus",
)  # fmt: skip
# Those that take an alpha, and those that take a beta as well.
BY_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
BY_BETA = ("Affine", "ScaledTanh", "HardSigmoid")


@st.composite
def recurrent_layers(draw: st.DrawFn) -> tuple[onnx.ModelProto, dict[str, Array]]:
    op, direction = draw(st.sampled_from(sorted(GATES))), draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    steps, batch, width, size = (draw(st.integers(1, 5)) for _ in range(4))
    d, gates = 2 if direction == "bidirectional" else 1, GATES[op]
    seed = draw(st.integers(0, 1 << 16))
    arrays = {
        "x": floats(seed, steps, batch, width), "w": floats(seed + 1, d, gates * size, width),
        "r": floats(seed + 2, d, gates * size, size) * np.float32(0.5),
    }  # fmt: skip
    optional = {
        "b": floats(seed + 3, d, 2 * gates * size), "h": floats(seed + 4, d, batch, size),
        "lens": np.random.default_rng(seed).integers(1, steps + 1, batch).astype(np.int32),
    }  # fmt: skip
    if op == "LSTM":
        optional |= {"c": floats(seed + 5, d, batch, size), "p": floats(seed + 6, d, 3 * size)}
    arrays |= {name: array for name, array in optional.items() if draw(st.booleans())}
    order = ["x", "w", "r", "b", "lens", "h", *(["c", "p"] if op == "LSTM" else [])]
    inputs = [name if name in arrays else "" for name in order]
    attributes: dict[str, Any] = {"direction": direction, "hidden_size": size}
    if draw(st.booleans()):
        attributes["clip"] = draw(st.sampled_from([0.3, 1.0, 50.0]))
    if draw(st.booleans()):
        one = [draw(st.sampled_from(ACTIVATIONS)) for _ in range(FUNCTIONS[op])]
        attributes["activations"] = one * d
        # onnxruntime has no defaults for these.
        if {"Affine", "ScaledTanh", "ThresholdedRelu"} & set(one) or draw(st.booleans()):
            attributes["activation_alpha"] = [0.3 for a in one * d if a in BY_ALPHA]
            attributes["activation_beta"] = [0.6 for a in one * d if a in BY_BETA]
    if op == "GRU":
        attributes["linear_before_reset"] = int(draw(st.booleans()))
    if op == "LSTM":
        attributes["input_forget"] = int(draw(st.booleans()) and "p" not in arrays)
    attributes = {k: v for k, v in attributes.items() if v != []}
    fixed = {"w", "r", "b", "p"} if draw(st.booleans()) else set()
    outputs = ["y", "yh", "yc"] if op == "LSTM" else ["y", "yh"]
    proto = onnx.helper.make_node(op, inputs, outputs, **attributes)
    asked = {name: a.shape for name, a in arrays.items() if name not in fixed}
    return model(
        [proto], asked, outputs, {n: arrays[n] for n in arrays if n in fixed}, opset=draw(st.sampled_from([7, 14, 22])),
        dtypes={"lens": np.int32},
    ), {name: arrays[name] for name in asked}  # fmt: skip


@settings(max_examples=400)
@given(recurrent_layers())
def test_recurrent_layers_agree(drawn: tuple[onnx.ModelProto, dict[str, Array]]) -> None:
    compare(*drawn)


# ── resizing ────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def resizes(draw: st.DrawFn) -> tuple[onnx.ModelProto, dict[str, Array]]:
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    where = draw(st.sampled_from([
        "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "tf_crop_and_resize",
    ]))  # fmt: skip
    shape = (1, 2, *(draw(st.integers(2, 7)) for _ in range(2)))
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": where}
    if mode == "nearest":
        attributes["nearest_mode"] = draw(st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    if mode == "cubic":
        attributes |= {"cubic_coeff_a": draw(st.sampled_from([-0.5, -0.75]))}
        attributes |= {"exclude_outside": int(draw(st.booleans()) and where != "tf_crop_and_resize")}
    if mode != "nearest" and where not in ("tf_crop_and_resize", "align_corners", "half_pixel_symmetric"):
        attributes["antialias"] = int(draw(st.booleans()))
    constants: dict[str, Array] = {}
    # With align_corners onnxruntime leaves out the part of an element that ONNX counts: whole new sizes alone.
    if where == "tf_crop_and_resize" or draw(st.booleans()):
        new = [draw(st.integers(1, 12)) for _ in range(2)]
        constants["sizes"] = np.array([*shape[:2], *new], np.int64)
        policy = draw(st.sampled_from(["stretch", "not_larger", "not_smaller"]))
        if policy != "stretch" and where not in ("tf_crop_and_resize", "align_corners"):
            constants["sizes"] = np.array(new, np.int64)
            attributes |= {"keep_aspect_ratio_policy": policy, "axes": [2, 3]}
    else:
        halves = where != "align_corners"
        factors = [1.0, 2.0, 3.0, *((0.5, 1.5, 0.75, 2.6) if halves else ())]
        constants["scales"] = np.array([1, 1, *(draw(st.sampled_from(factors)) for _ in range(2))], np.float32)
    if where == "tf_crop_and_resize":
        constants["roi"] = np.array([0, 0, 0.25, -0.125, 1, 1, 0.875, 1.25], np.float32)
        attributes["extrapolation_value"] = 7.5
        # onnxruntime cuts nothing out along an axis whose size does not change.
        assume(all(a != b for a, b in zip(constants["sizes"][2:], shape[2:])))
    proto = onnx.helper.make_node(
        "Resize", ["x", *(n if n in constants else "" for n in ("roi", "scales", "sizes"))], ["y"], **attributes
    )
    x = floats(draw(st.integers(0, 99)), *shape)
    return model([proto], {"x": shape}, ["y"], constants, opset=draw(st.sampled_from([18, 19]))), {"x": x}


@settings(max_examples=400)
@given(resizes())
def test_resizes_agree(drawn: tuple[onnx.ModelProto, dict[str, Array]]) -> None:
    compare(*drawn)


# ── convolutions and pools ──────────────────────────────────────────────────────────────────────────


@st.composite
def windows(draw: st.DrawFn, op: str) -> tuple[onnx.ModelProto, dict[str, Array]]:
    rank, seed = draw(st.integers(1, 3)), draw(st.integers(0, 99))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations)]
    sizes = [r + draw(st.integers(0, 4)) for r in reach]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel, "strides": [draw(st.integers(1, 3)) for _ in range(rank)], "dilations": dilations,
    }  # fmt: skip
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto.startswith("SAME"):  # for onnxruntime windows without gaps, in themselves and between them
        reach, attributes["dilations"] = kernel, [1] * rank
        attributes["strides"] = [min(s, k) for s, k in zip(attributes["strides"], kernel)]
    if auto == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    else:
        attributes["auto_pad"] = auto
    group = draw(st.integers(1, 3)) if "Conv" in op else 1
    channels = group * draw(st.integers(1, 2))
    if group > 1:
        attributes["group"] = group
    constants: dict[str, Array] = {}
    if op == "Conv":
        constants = {"w": floats(seed, group * draw(st.integers(1, 3)), channels // group, *kernel)}
    elif op == "ConvTranspose":
        constants = {"w": floats(seed, channels, draw(st.integers(1, 3)), *kernel)}
        extra = [draw(st.integers(0, s - 1)) for s in attributes["strides"]]
        attributes["output_padding"] = extra
        if auto == "NOTSET" and draw(st.booleans()):
            full = [(n - 1) * s + r for n, s, r in zip(sizes, attributes["strides"], reach)]
            attributes["output_shape"] = [draw(st.integers(max(1, f - 3), f)) for f in full]
            del attributes["pads"]
    else:
        attributes["ceil_mode"] = int(draw(st.booleans()) and auto == "NOTSET")
    if op == "AveragePool":
        attributes["count_include_pad"] = int(draw(st.booleans()))
    if op == "LpPool":
        attributes["p"] = draw(st.integers(1, 3))
    outputs = ["y"]
    if op == "MaxPool" and draw(st.booleans()):
        outputs.append("indices")
        attributes["storage_order"] = int(draw(st.booleans()) and rank == 2)
    proto = onnx.helper.make_node(op, ["x", *constants], outputs, **attributes)
    x = floats(seed + 7, draw(st.integers(1, 2)), channels, *sizes)
    kinds = {"indices": np.int64}
    return model([proto], {"x": x.shape}, outputs, constants, opset=20, dtypes=kinds), {"x": x}


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"])
@settings(max_examples=250)
@given(data=st.data())
def test_windows_agree(op: str, data: st.DataObject) -> None:
    compare(*data.draw(windows(op)))


# ── integers ────────────────────────────────────────────────────────────────────────────────────────


def integers(seed: int, kind: str, *shape: int) -> Array:
    info = np.iinfo(kind)
    return np.random.default_rng([seed, *shape]).integers(info.min, info.max, shape, endpoint=True).astype(kind)


@settings(max_examples=150)
@given(st.integers(0, 999), st.integers(1, 700), st.sampled_from(["uint8", "int8"]), st.booleans())
def test_integer_products_agree_to_the_last_bit(seed: int, depth: int, kind: str, fixed: bool) -> None:
    a, b = integers(seed, "uint8", 3, depth), integers(seed, kind, depth, 5)
    zeros = {"az": integers(seed, "uint8"), "bz": integers(seed + 1, kind)}
    arrays = {"a": a, "b": b}
    asked = {"a": a.shape} if fixed else {"a": a.shape, "b": b.shape}
    proto = model(
        [node("MatMulInteger", "a b az bz", "y")], asked, [], {**zeros, **({"b": b} if fixed else {})}, opset=13,
        dtypes={"a": np.uint8, "b": np.dtype(kind).type},
    )  # fmt: skip
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT32, None))
    compare(proto, {name: arrays[name] for name in asked})


@settings(max_examples=100)
@given(st.integers(0, 999), st.integers(1, 90), st.sampled_from([1, 2]), st.booleans())
def test_quantised_convolutions_agree(seed: int, inner: int, group: int, by_channel: bool) -> None:
    x, w = integers(seed, "uint8", 1, inner * group, 6, 5), integers(seed, "int8", 4, inner, 3, 3)
    count = (4,) if by_channel else ()
    constants = {
        "w": w, "xs": np.float32(0.02), "xz": np.uint8(seed % 256), "wz": np.zeros(count, np.int8),
        "ws": (0.001 + 0.01 * np.abs(floats(seed, *count))).astype(np.float32), "ys": np.float32(0.9),
        "yz": np.uint8(120), "b": integers(seed, "int16", 4).astype(np.int32),
    }  # fmt: skip
    proto = model(
        [node("QLinearConv", "x xs xz w ws wz ys yz b", "y", group=group, pads=[1, 1, 0, 1], strides=[2, 1])],
        {"x": x.shape}, [], {k: np.asarray(v) for k, v in constants.items()}, opset=13, dtypes={"x": np.uint8},
    )  # fmt: skip
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, None))
    compare(proto, {"x": x}, off=1)  # onnxruntime multiplies the scales in another order


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize(("axis", "block"), [(0, 0), (-1, 0), (1, 2), (1, 3)])
def test_quantising_there_and_back_agrees(kind: str, axis: int, block: int) -> None:
    x = floats(3, 4, 6) * np.float32(40)
    x[0] = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e9], np.float32)  # halves go to even, what is too large stops
    shape = (x.shape[axis],) if not block else (4, -(-6 // block))
    constants = {"s": np.full(shape, 0.25, np.float32), "z": np.full(shape, 3, kind)}
    constants["s"][0] = 1.0
    options = {"axis": axis, **({"block_size": block} if block else {})}
    nodes = [
        node("QuantizeLinear", "x s z", "q", **options),
        node("DequantizeLinear", "q s z", "y", **options),
    ]
    compare(model(nodes, {"x": x.shape}, ["y"], constants, opset=21), {"x": x})


# ── the rest ────────────────────────────────────────────────────────────────────────────────────────

SAMPLED = list(itertools.product(("linear", "nearest", "cubic"), ("zeros", "border", "reflection"), (0, 1)))


@pytest.mark.parametrize(("mode", "padding", "corners"), SAMPLED)
def test_grid_samples_agree(mode: str, padding: str, corners: int) -> None:
    x, grid = floats(1, 2, 3, 5, 4), floats(2, 2, 6, 7, 2)
    proto = node("GridSample", "x g", "y", mode=mode, padding_mode=padding, align_corners=corners)
    compare(model([proto], {"x": x.shape, "g": grid.shape}, ["y"], opset=20), {"x": x, "g": grid})


MADE_BY_ONNXRUNTIME = {
    "Gelu": (["x"], {}), "BiasGelu": (["x", "v"], {}), "FastGelu": (["x", "v"], {}),
    "QuickGelu": (["x"], {"alpha": 1.5}),
    "FusedMatMul": (["x", "m"], {"alpha": 0.5, "transB": 1}),
    "SkipLayerNormalization": (["x", "t", "v", "u"], {"epsilon": 1e-5}),
    "SkipSimplifiedLayerNormalization": (["x", "t", "v"], {"epsilon": 1e-5}),
}  # fmt: skip


@pytest.mark.parametrize("op", sorted(MADE_BY_ONNXRUNTIME))
def test_what_onnxruntime_makes_agrees(op: str) -> None:
    names, attributes = MADE_BY_ONNXRUNTIME[op]
    arrays = {
        "x": floats(1, 2, 3, 8),
        "t": floats(2, 2, 3, 8),
        "v": floats(3, 8),
        "u": floats(4, 8),
        "m": floats(5, 4, 8),
    }
    constants = {name: arrays[name] for name in names if name not in ("x", "t")}
    asked = {name: arrays[name].shape for name in names if name in ("x", "t")}
    proto = model([node(op, " ".join(names), "y", domain=MICROSOFT, **attributes)], asked, ["y"], constants)
    proto.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    compare(proto, {name: arrays[name] for name in asked})
