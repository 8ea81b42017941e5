"""Claims about ONNX's layers beyond ONNX's own cases: what is folded, what is refused, what may be symbolic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import model, node

from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.errors import ModelError, NeurenixError, UnsupportedError
from neurenix.frontends.onnx import import_onnx
from neurenix.frontends.onnx.integer_products import convolution, product
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]
Spec = tuple[str, str, dict[str, Any], dict[str, Array]]


def floats(*shape: int) -> Array:
    return np.random.default_rng([7, *shape]).standard_normal(shape).astype(np.float32)


def steps(proto: onnx.ModelProto, dims: Mapping[str, tuple[int, int]] | None = None) -> list[str]:
    """Return the kernels of the compiled plan, but for the turns at its borders."""
    plan, _ = schedule(passes.run(import_onnx(proto, dims=dims), True))
    return [step.op for step in plan.steps if step.op != "permute"]


# ── what is folded and packed ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("group", "kernel"), [(1, "conv2d"), (2, "conv2d"), (8, "depthwise2d")])
def test_convolution_normalisation_and_activation_are_one_step(group: int, kernel: str) -> None:
    nodes = [
        node("Conv", "x w c", "a", pads=[1, 1, 1, 1], group=group),
        node("BatchNormalization", "a s b m v", "n"),
        node("Relu", "n", "y"),
    ]
    constants = {name: floats(8) for name in "csbm"} | {"w": floats(8, 8 // group, 3, 3), "v": floats(8) ** 2 + 1}
    assert [kernel] == steps(model(nodes, {"x": ["n", 8, "h", "k"]}, ["y"], constants))


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_is_one_product_by_packed_weights(transposed: int) -> None:
    weight = floats(16, 4) if not transposed else floats(4, 16)
    nodes = [node("Gemm", "x w c", "a", transB=transposed, alpha=0.5, beta=2.0), node("Relu", "a", "y")]
    proto = model(nodes, {"x": ["n", 16]}, ["y"], {"w": weight, "c": floats(4)})
    plan, _ = schedule(passes.run(import_onnx(proto), True))
    assert ["matmul"] == [s.op for s in plan.steps]
    assert "panel8" in [t.layout for t in plan.tensors.values()]


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
def test_a_normalisation_over_the_last_axis_is_one_step(op: str) -> None:
    inputs = "x s b" if op == "LayerNormalization" else "x s"
    proto = model(
        [node(op, inputs, "y")], {"x": ["n", 5, 8]}, ["y"], {n: floats(8) for n in inputs[2:].split()}, opset=23
    )
    assert 1 == len(steps(proto))


def test_an_lstm_of_known_weights_is_a_product_and_a_loop() -> None:
    constants = {"w": floats(1, 16, 3), "r": floats(1, 16, 4), "b": floats(1, 32)}
    proto = model([node("LSTM", "x w r b", "y", hidden_size=4)], {"x": ["t", "n", 3]}, ["y"], constants)
    assert {"matmul", "lstm"} <= set(steps(proto))


def test_dequantised_weights_are_packed_as_floats() -> None:
    constants = {"q": np.arange(-8, 8, dtype=np.int8).reshape(4, 4), "s": floats(4), "z": np.ones(4, np.int8)}
    nodes = [node("DequantizeLinear", "q s z", "w", axis=1), node("MatMul", "x w", "y")]
    assert ["matmul"] == steps(model(nodes, {"x": ["n", 4]}, ["y"], constants))


# ── symbolic sizes ──────────────────────────────────────────────────────────────────────────────────

CONV = {"w": floats(3, 2, 3, 3)}
TWICE = {"s": np.array([1, 1, 2, 2], np.float32)}
HALF = {"s": np.array([1, 1, 1.5, 0.5], np.float32)}

SYMBOLIC: list[Spec] = [
    ("Conv", "x w", {"strides": [2, 1], "pads": [0, 1, 1, 1]}, CONV),
    ("Conv", "x w", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, CONV),
    ("Conv", "x w", {"strides": [2, 3], "dilations": [1, 2], "auto_pad": "SAME_LOWER"}, CONV),
    ("ConvTranspose", "x w", {"strides": [2, 2], "pads": [1, 0, 0, 1]}, {"w": floats(2, 3, 3, 3)}),
    ("ConvTranspose", "x w", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, {"w": floats(2, 3, 3, 3)}),
    ("MaxPool", "x", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, {}),
    ("MaxPool", "x", {"kernel_shape": [3, 2], "strides": [2, 1], "auto_pad": "SAME_LOWER"}, {}),
    ("AveragePool", "x", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, {}),
    ("AveragePool", "x", {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1], "count_include_pad": 1}, {}),
    ("LpPool", "x", {"kernel_shape": [2, 2], "strides": [2, 2], "p": 3}, {}),
    ("GlobalAveragePool", "x", {}, {}),
    ("GlobalMaxPool", "x", {}, {}),
    ("InstanceNormalization", "x a b", {}, {"a": floats(2), "b": floats(2)}),
    ("LRN", "x", {"size": 2}, {}),
    *(
        ("Resize", "x  s", {"mode": mode}, scales)
        for mode in ("nearest", "linear", "cubic")
        for scales in (TWICE, HALF)
    ),
    ("Resize", "x  s", {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, TWICE),
    ("Resize", "x  s", {"mode": "nearest", "nearest_mode": "ceil"}, HALF),
    ("Resize", "x  s", {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}, TWICE),
]


@pytest.mark.parametrize("spec", SYMBOLIC, ids=lambda s: f"{s[0]}-{'-'.join(map(str, s[2].values()))}")
@pytest.mark.parametrize("sizes", [(1, 6, 5), (2, 7, 8), (3, 10, 12)])
def test_a_symbolic_image_gives_what_a_fixed_one_gives(spec: Spec, sizes: tuple[int, int, int]) -> None:
    op, inputs, attributes, constants = spec
    made = onnx.helper.make_node(op, inputs.split(" "), ["y"], **attributes)
    x = floats(sizes[0], 2, *sizes[1:])
    fixed = run_graph(import_onnx(model([made], {"x": x.shape}, ["y"], constants)), {"x": x}, {})["y"]
    graph = import_onnx(model([made], {"x": ["n", 2, "h", "k"]}, ["y"], constants), dims={"h": (5, 32), "k": (5, 32)})
    values = dict(zip(("n", "h", "k"), sizes))
    symbolic = run_graph(graph, {"x": x}, values)["y"]
    np.testing.assert_allclose(symbolic, fixed, rtol=0, atol=1e-5)  # where the places are computed in float32


def test_an_image_is_resized_to_another_ones_symbolic_size() -> None:
    """As PyTorch exports `interpolate(x, size=y.shape[2:])` of a U-Net."""
    nodes = [
        node("Shape", "s", "all"),
        node("Slice", "all two four", "size"),
        onnx.helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="linear", axes=[2, 3]),
    ]
    constants = {"two": np.array([2]), "four": np.array([4])}
    proto = model(nodes, {"x": ["n", 2, "h", "w"], "s": ["n", 1, "p", "q"]}, ["y"], constants)
    x, s = floats(1, 2, 4, 5), floats(1, 1, 7, 9)
    feeds, dims = {"x": x, "s": s}, {"n": 1, "h": 4, "w": 5, "p": 7, "q": 9}
    fixed = model(
        [onnx.helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="linear", axes=[2, 3])],
        {"x": x.shape}, ["y"], {"size": np.array([7, 9])},
    )  # fmt: skip
    want = run_graph(import_onnx(fixed), {"x": x}, {})["y"]
    np.testing.assert_allclose(run_graph(import_onnx(proto), feeds, dims)["y"], want, rtol=0, atol=2e-6)


def test_a_size_is_not_folded() -> None:
    """It has no inputs, and yet it is no constant."""
    nodes = [node("Shape", "x", "s"), node("Cast", "s", "f", to=1), node("Mul", "x f", "y")]
    graph = passes.run(import_onnx(model(nodes, {"x": ["n"]}, ["y"])), True)
    assert [6.0, 6.0, 6.0] == run_graph(graph, {"x": np.full(3, 2.0, np.float32)}, {"n": 3})["y"].tolist()


@pytest.mark.zig
def test_a_symbolic_resize_is_compiled(tmp_path: Any) -> None:
    from neurenix.bundle.writer import plan_number
    from neurenix.compiler.print_c import print_c
    from neurenix.phynexus.native import NativeEngine
    from neurenix.toolchain import compile_c, native_targets

    proto = model([onnx.helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")], {"x": ["n", 2, "h", "k"]},
                  ["y"], TWICE)  # fmt: skip
    graph = import_onnx(proto)
    plan, weights = schedule(passes.run(graph, True))
    abi = plan_number(plan)
    (target,) = native_targets(("host",))
    library = tmp_path / f"model{target.suffix}"
    library.write_bytes(compile_c(print_c(plan, abi), target.variants[-1], library.name))
    engine = NativeEngine(plan, weights, library, abi)
    for sizes in ((1, 3, 4), (2, 9, 2)):
        x, dims = floats(sizes[0], 2, *sizes[1:]), dict(zip(("n", "h", "k"), sizes))
        np.testing.assert_allclose(engine.run({"x": x}, dims)["y"], run_graph(graph, {"x": x}, dims)["y"], atol=1e-5)


# ── recurrent forms ─────────────────────────────────────────────────────────────────────────────────


def lstm(steps_dim: Any, **attributes: Any) -> onnx.ModelProto:
    constants = {"w": floats(2, 16, 3), "r": floats(2, 16, 4), "b": floats(2, 32), "l": np.array([2, 5], np.int32)}
    made = node("LSTM", "x w r b l", "y h c", hidden_size=4, direction="bidirectional", **attributes)
    shape = [2, steps_dim, 3] if attributes.get("layout") else [steps_dim, 2, 3]
    return model([made], {"x": shape}, ["y", "h", "c"], constants, opset=14)


@pytest.mark.parametrize("layout", [0, 1])
def test_the_rows_and_the_steps_agree(layout: int) -> None:
    """A clip that never acts makes the cell run step by step."""
    x = floats(2, 5, 3) if layout else floats(5, 2, 3)
    rows = run_graph(import_onnx(lstm(5, layout=layout)), {"x": x}, {})
    stepped = run_graph(import_onnx(lstm(5, layout=layout, clip=1e6)), {"x": x}, {})
    for name, want in rows.items():
        np.testing.assert_allclose(stepped[name], want, rtol=0, atol=1e-6)


def test_the_number_of_steps_may_be_symbolic() -> None:
    x = floats(5, 2, 3)
    want = run_graph(import_onnx(lstm(5)), {"x": x}, {})
    have = run_graph(import_onnx(lstm("t")), {"x": x}, {"t": 5})
    for name, array in want.items():
        np.testing.assert_array_equal(array, have[name])


def test_nothing_lies_behind_the_end_of_a_sequence() -> None:
    y = run_graph(import_onnx(lstm(5)), {"x": floats(5, 2, 3)}, {})["y"]
    assert not y[2:, :, 0].any()
    assert y[:2, :, 0].all()


def test_clipping_a_symbolic_number_of_steps_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedError, match=r"\(LSTM\).*clip.*fix their number with dims"):
        import_onnx(lstm("t", clip=1.0))


# ── integers ────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 900), st.integers(0, 99))
def test_products_of_integers_are_exact_at_any_depth(depth: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.choice([-255, 0, 255, 254], size).astype(np.int64) for size in ((3, depth), (depth, 2)))
    b[:, 0] = 255
    a[0] = 255  # the largest sum there is
    y = product(Tensor(a.astype(np.float32)), Tensor(b.astype(np.float32)))
    np.testing.assert_array_equal(a @ b, y.numpy())


@pytest.mark.parametrize("group", [1, 2])
def test_convolutions_of_integers_are_exact_at_any_depth(group: int) -> None:
    inner = 300
    x, w = np.full((1, inner * group, 3, 3), 255.0, np.float32), np.full((2, inner, 3, 3), -255.0, np.float32)
    y = convolution(lambda image, weight: image.conv2d(weight, groups=group), Tensor(x), Tensor(w), group)
    assert ([[[[-255 * 255 * 9 * inner]]] * 2], "int32") == ([y.numpy()[0].tolist()][0:1], y.dtype.name)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────

W3 = {"w": floats(3, 2, 3, 3)}
RNN = {"w": floats(1, 4, 3), "r": floats(1, 4, 4)}

HOSTILE: list[tuple[str, str, dict[str, Any], dict[str, Array], str]] = [
    ("Conv", "x w", {"group": 0}, W3, "0 groups"),
    ("Conv", "x w", {"group": 2}, W3, "2 groups"),
    ("Conv", "x w", {"strides": [0, 1]}, W3, "strides"),
    ("Conv", "x w", {"strides": [1]}, W3, "strides"),
    ("Conv", "x w", {"dilations": [1 << 40, 1]}, W3, "dilations"),
    ("Conv", "x w", {"pads": [1, 1, -9, 1]}, W3, "pads"),
    ("Conv", "x w", {"pads": [1 << 62, 1, 1, 1]}, W3, "pads"),
    ("Conv", "x w", {"pads": [1 << 23, 1 << 23, 0, 0]}, W3, "limit"),
    ("Conv", "x w", {"kernel_shape": [2, 3]}, W3, "kernel_shape"),
    ("Conv", "x w", {"auto_pad": "SAME"}, W3, "auto_pad"),
    ("Conv", "x w", {}, {"w": floats(3, 2, 9, 9)}, "does not fit"),
    ("ConvTranspose", "x w", {"group": 0}, {"w": floats(2, 3, 3, 3)}, "0 groups"),
    ("ConvTranspose", "x w", {"strides": [1 << 23, 1 << 23]}, {"w": floats(2, 3, 3, 3)}, "limit"),
    ("ConvTranspose", "x w", {"pads": [9, 9, 9, 9]}, {"w": floats(2, 3, 3, 3)}, "leaves nothing"),
    ("ConvTranspose", "x w", {"output_shape": [-1, 3]}, {"w": floats(2, 3, 3, 3)}, "output_shape"),
    ("MaxPool", "x", {"kernel_shape": [0, 2]}, {}, "kernel_shape"),
    ("MaxPool", "x", {"kernel_shape": [-2, 2]}, {}, "kernel_shape"),
    ("MaxPool", "x", {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, {}, "padding 2"),
    ("MaxPool", "x", {"kernel_shape": [2, 2], "storage_order": 7}, {}, "storage_order"),
    ("AveragePool", "x", {"kernel_shape": [9, 9]}, {}, "does not fit"),
    ("LpPool", "x", {"kernel_shape": [2, 2], "p": 0}, {}, "'p'"),
    ("LRN", "x", {"size": -1}, {}, "size of at least 1"),
    ("LRN", "x", {"size": 1 << 60}, {}, "size of at least 1"),
    ("BatchNormalization", "x a a a b", {}, {"a": floats(2), "b": floats(3)}, "'var'"),
    ("BatchNormalization", "x a a a a", {"epsilon": -1.0}, {"a": floats(2)}, "epsilon"),
    ("GroupNormalization", "x a a", {"num_groups": 0}, {"a": floats(2)}, "0 groups"),
    ("LayerNormalization", "x a", {"axis": 9}, {"a": floats(2)}, "9"),
    ("Resize", "x  s", {}, {"s": np.array([1, 1, -2, 2], np.float32)}, "scales"),
    ("Resize", "x  s", {}, {"s": np.array([1, 1, np.nan, 2], np.float32)}, "scales"),
    ("Resize", "x  s", {}, {"s": np.array([1, 1, 1e30, 2], np.float32)}, "new sizes"),
    ("Resize", "x  s", {}, {"s": np.array([1, 1, 1 << 20, 1 << 20], np.float32)}, "limit"),
    ("Resize", "x  s", {}, {"s": np.array([2, 2], np.float32)}, "must be 4"),
    ("Resize", "x   s", {}, {"s": np.array([1, 2, -3, 4])}, "new sizes"),
    ("Resize", "x  s", {"mode": "lanczos"}, {"s": np.ones(4, np.float32)}, "lanczos"),
    ("GridSample", "x g", {}, {"g": floats(1, 3, 3, 3)}, "grid"),
    ("MaxUnpool", "x i", {"kernel_shape": [1 << 23, 1 << 23]}, {"i": np.zeros((1, 2, 5, 5), np.int64)}, "limit"),
    ("DequantizeLinear", "q s", {"axis": 5}, {"q": np.ones((2, 3), np.int8), "s": floats(3)}, "5"),
    (
        "DequantizeLinear",
        "q s",
        {"axis": 1, "block_size": -4},
        {"q": np.ones((2, 3), np.int8), "s": floats(2, 2)},
        "-4",
    ),
    ("DequantizeLinear", "q s z", {}, {"q": np.ones(3, np.int8), "s": floats(1)[0], "z": np.uint8(1)}, "uint8"),
    ("DFT", "x n", {}, {"n": np.array(1 << 40)}, "transform"),
    ("DFT", "x n", {}, {"n": np.array(-1)}, "dft_length"),
    ("RNN", "t w r", {"hidden_size": 9}, RNN, "hidden_size 9"),
    ("RNN", "t w r", {"activations": ["Sine"]}, RNN, "Sine"),
    ("RNN", "t w r", {"direction": "sideways"}, RNN, "sideways"),
    ("RNN", "t w r", {"clip": -1.0}, RNN, "clip"),
    ("GRU", "t w r", {"hidden_size": 4}, RNN, "must be"),
]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda c: f"{c[0]}-{'-'.join(map(str, c[2].values())) or c[4]}"[:60])
def test_attributes_without_meaning_are_refused_by_name(case: Any) -> None:
    op, inputs, attributes, constants, message = case
    made = onnx.helper.make_node(op, inputs.split(" "), ["y"], name="culprit", **attributes)
    shapes = {"x": [1, 2, 5, 5]} if op != "DFT" else {"x": [1, 5, 1]}
    arrays = {name: np.asarray(array) for name, array in constants.items()}
    proto = model([made], {**shapes, "t": [3, 1, 3]}, ["y"], arrays, opset=21)
    with pytest.raises(NeurenixError, match="node 'culprit'") as caught:
        import_onnx(proto)
    assert isinstance(caught.value, (ModelError, UnsupportedError))
    assert message in str(caught.value)
    assert "it cannot be computed" not in str(caught.value)
