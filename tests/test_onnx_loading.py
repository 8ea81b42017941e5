"""Claims about reading ONNX files: names, dims, fixed inputs, and what is refused with the node's name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import model, node

from neurenix import load_model
from neurenix.errors import InputError, ModelError, NeurenixError, UnsupportedError
from neurenix.frontends import load
from neurenix.frontends.onnx import import_onnx
from neurenix.phynexus.reference import run_graph
from neurenix.wasm import export_to_wasm

RELU = [node("Relu", "x", "y")]


def save(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_file_becomes_a_graph_named_after_it(tmp_path: Path) -> None:
    graph = load(save(model(RELU, {"x": ["N", 3]}, ["y"]), tmp_path, "My Model.v2.onnx"))
    assert ("my_model_v2", ("x",), ("y",)) == (graph.name, graph.inputs, graph.outputs)
    x = np.array([[-1.0, 0.0, 2.0]], np.float32)
    assert [[0.0, 0.0, 2.0]] == run_graph(graph, {"x": x}, {"n": 1})["y"].tolist()


@pytest.mark.zig
@pytest.mark.wasm
def test_a_file_is_exported_by_its_path(tmp_path: Path) -> None:
    nodes = [node("Gather", "table ids", "rows"), node("Mul", "rows by", "y")]
    proto = model(
        nodes, {"ids": ["n", 2], "by": []}, ["y"], {"table": np.eye(5, 3, dtype=np.float32)}, dtypes={"ids": np.int64}
    )
    path = export_to_wasm(save(proto, tmp_path), tmp_path / "out", dims={"n": (1, 4)}, constants={"by": 3.0})
    loaded = load_model(path, device="wasm")
    assert loaded.inputs == ("ids",)
    assert loaded.self_test() < 1e-6
    ids = np.array([[4, 0], [1, 2]])
    np.testing.assert_array_equal(np.eye(5, 3)[ids] * 3, loaded.forward(ids)["y"])


def test_names_become_keys_for_javascript() -> None:
    nodes = [node("Add", "input.1 Input:1", "/head/out put".replace(" ", "_"))]
    graph = import_onnx(model(nodes, {"input.1": [2], "Input:1": [2]}, ["/head/out_put"]))
    assert (("input_1", "input_1_1"), ("head_out_put",)) == (graph.inputs, graph.outputs)


def test_dims_of_the_file_take_the_given_ranges() -> None:
    graph = import_onnx(model(RELU, {"x": ["Batch Size", 3]}, ["y"]), dims={"batch_size": (1, 9)})
    assert {"batch_size": (1, 9)} == graph.dims


def test_given_dims_name_the_unnamed_by_position() -> None:
    graph = import_onnx(model(RELU, {"x": [None, 3, None]}, ["y"]), dims={"batch": (1, 2), "time": (1, 5)})
    assert ["batch", "3", "time"] == [str(s) for s in graph.values["x"].shape]


def test_a_dim_given_one_size_is_fixed() -> None:
    graph = import_onnx(model(RELU, {"x": ["n", 3]}, ["y"]), dims={"n": 4})
    assert (4, 3) == graph.values["x"].shape


def test_an_unknown_dim_is_named_in_the_error() -> None:
    with pytest.raises(InputError, match=r"dims names 'bach'.*have n"):
        import_onnx(model(RELU, {"x": ["n", 3]}, ["y"]), dims={"bach": (1, 2)})


def test_inputs_replace_the_shape_of_the_file() -> None:
    graph = import_onnx(
        model(RELU, {"x": ["n", "m"]}, ["y"]), inputs={"x": "float32[batch, 7]"}, dims={"batch": (1, 3)}
    )
    assert ({"batch": (1, 3)}, "[batch, 7]") == (graph.dims, str(list(graph.values["x"].shape)))


def test_a_fixed_input_is_part_of_the_model() -> None:
    proto = model([node("Reshape", "x shape", "y")], {"x": [2, 6], "shape": [2]}, ["y"], dtypes={"shape": np.int64})
    with pytest.raises(UnsupportedError, match=r"node 'y' \(Reshape\): its input 'shape' depends on the data"):
        import_onnx(proto)
    graph = import_onnx(proto, constants={"shape": [3, 4]})
    assert (("x",), (3, 4)) == (graph.inputs, graph.values["y"].shape)


def test_constants_are_folded_while_reading() -> None:
    nodes = [node("Add", "a b", "c"), node("Mul", "c c", "d"), node("Add", "x d", "y")]
    graph = import_onnx(model(nodes, {"x": [1]}, ["y"], {"a": np.float32([1]), "b": np.float32([2])}))
    assert (["add"], [9.0]) == ([n.op for n in graph.nodes], next(iter(graph.constants.values())).tolist())


@pytest.mark.parametrize("opset", [6, 99])
def test_an_opset_out_of_range_is_refused(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=f"opset {opset}; supported are 7 to"):
        import_onnx(model(RELU, {"x": [1]}, ["y"], opset=opset))


def test_an_unknown_operator_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"node 'y' \(Frobnicate\): the operator 'Frobnicate'"):
        import_onnx(model([node("Frobnicate", "x", "y")], {"x": [1]}, ["y"]))


def test_a_value_that_nothing_makes_is_refused() -> None:
    with pytest.raises(ModelError, match=r"node 'y' \(Relu\): it reads 'z' before anything makes it"):
        import_onnx(model([node("Relu", "z", "y")], {"x": [1]}, ["y"]))
    with pytest.raises(ModelError, match="nothing makes the output 'q'"):
        import_onnx(model(RELU, {"x": [1]}, ["q"]))


@pytest.mark.parametrize("content", [b"", b"\x08", b"no model", b"\xff" * 100])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(NeurenixError):
        load(tmp_path / "m.onnx")


def test_a_missing_file_and_a_strange_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        load(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="no model that can be read"):
        load(tmp_path / "model.h5")


@pytest.mark.slow
def test_functions_that_multiply_run_into_a_budget() -> None:
    proto = model([node("F30", "x", "y")], {"x": [1]}, ["y"])
    proto.graph.node[0].domain = "own"
    opset = onnx.helper.make_opsetid("own", 1)
    proto.opset_import.append(opset)
    for i in range(31):
        body = [node("Relu", "a", "b")] if i == 0 else [node(f"F{i - 1}", "a", "c"), node(f"F{i - 1}", "c", "b")]
        for each in body:
            each.domain = "own" if i else ""
        proto.functions.append(
            onnx.helper.make_function("own", f"F{i}", ["a"], ["b"], body, [onnx.helper.make_opsetid("", 20), opset])
        )
    with pytest.raises(ModelError, match="more than 50,000 nodes"):
        import_onnx(proto)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Expand", "a s", "b"), node("Add", "x b", "y")], {"a": np.float32([1]), "s": np.int64([2**31, 2**31])}),
        ([node("ConstantOfShape", "s", "b"), node("Add", "x b", "y")], {"s": np.int64([2**62, 2**62])}),
        ([node("Tile", "a s", "b"), node("Add", "x b", "y")], {"a": np.float32([1]), "s": np.int64([2**40])}),
        ([node("Range", "z s o", "b"), node("Add", "x b", "y")],
         {"z": np.array(0.0, np.float32), "s": np.array(1e15, np.float32), "o": np.array(1.0, np.float32)}),
    ],
    ids=["Expand", "ConstantOfShape", "Tile", "Range"],
)  # fmt: skip
def test_a_huge_constant_is_refused_before_it_is_allocated(nodes: Any, constants: Any) -> None:
    with pytest.raises(ModelError):
        import_onnx(model(nodes, {"x": [1]}, ["y"], constants))


# ── external data ───────────────────────────────────────────────────────────────────────────────────


def external(folder: Path, location: str, size: int = 12, **entries: str) -> Path:
    """Save x + w, where w lies in another file."""
    proto = model([node("Add", "x w", "y")], {"x": [3]}, ["y"], {"w": np.float32([1, 2, 3])})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "length": str(size), **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return save(proto, folder)


def weights(path: Path, offset: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * offset + np.float32([1, 2, 3]).tobytes())


@pytest.mark.parametrize(("location", "offset"), [("w.bin", 0), ("parts/w.bin", 8)])
def test_external_data_is_read_from_the_models_folder(location: str, offset: int, tmp_path: Path) -> None:
    weights(tmp_path / location, offset)
    graph = load(external(tmp_path, location, offset=str(offset)))
    assert [2.0, 3.0, 4.0] == run_graph(graph, {"x": np.ones(3, np.float32)}, {})["y"].tolist()


@pytest.mark.parametrize(
    "location",
    ["../w.bin", "sub/../../w.bin", "/etc/hostname", "", ".", "c:w.bin", "..\\w.bin", "w\0.bin", " ../w.bin"],
)
def test_external_data_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    weights(tmp_path / "w.bin")
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(ModelError, match="the tensor 'w'"):
        load(external(inner, location))


@pytest.mark.parametrize("kind", ["file", "folder", "hard", "fifo", "missing"])
def test_external_data_behind_a_link_or_no_plain_file_is_refused(kind: str, tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    weights(outer / "w.bin")
    if kind == "file":
        (inner / "w.bin").symlink_to(outer / "w.bin")
    elif kind == "folder":
        (inner / "parts").symlink_to(outer)
    elif kind == "hard":
        os.link(outer / "w.bin", inner / "w.bin")
    elif kind == "fifo":
        os.mkfifo(inner / "w.bin")
    with pytest.raises(ModelError, match="the tensor 'w'"):
        load(external(inner, "parts/w.bin" if kind == "folder" else "w.bin"))


@pytest.mark.parametrize(
    "entries",
    [{"offset": "1"}, {"offset": "-4"}, {"length": "8"}, {"offset": "9" * 30}, {"length": "1e3"}, {"offset": "0x0"}],
)
def test_external_data_of_another_size_is_refused(entries: dict[str, str], tmp_path: Path) -> None:
    weights(tmp_path / "w.bin")
    with pytest.raises(ModelError, match="the tensor 'w'"):
        load(external(tmp_path, "w.bin", **entries))
