"""Graphs on disk: they come back equal, the same bytes every time, and damaged files are GraphErrors."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from op_cases import assert_close
from random_nets import IMAGE, random_net

from neurenix import expr as ex
from neurenix.compiler import passes
from neurenix.dims import Dim
from neurenix.errors import GraphError
from neurenix.graph.graph import Graph
from neurenix.graph.store import attrs_from_json, attrs_to_json, load_graph, save_graph
from neurenix.nn import Linear, Sequential, Tanh
from neurenix.phynexus.reference import run_graph
from neurenix.trace import trace


def _graph(seed: int = 1, optimize: bool = False) -> Graph:
    spec = {"image": f"float32[batch, {', '.join(map(str, IMAGE))}]"}
    graph = trace(random_net(seed), spec, {"batch": (1, 5)})
    return passes.run(graph) if optimize else graph


@pytest.mark.parametrize("optimize", [False, True], ids=["traced", "fused"])
@pytest.mark.parametrize("seed", range(6))
def test_a_graph_comes_back_equal(tmp_path: Path, seed: int, optimize: bool) -> None:
    graph = _graph(seed, optimize)
    save_graph(graph, tmp_path / "a.npz")
    again = load_graph(tmp_path / "a.npz")
    for field in ("name", "inputs", "outputs", "nodes", "values", "dims", "layers", "device"):
        assert getattr(graph, field) == getattr(again, field), field
    assert list(graph.constants) == list(again.constants)
    for name, array in graph.constants.items():
        np.testing.assert_array_equal(array, again.constants[name])
        assert (array.dtype, array.shape) == (again.constants[name].dtype, again.constants[name].shape)
    save_graph(again, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    feeds = {"image": np.random.default_rng(0).standard_normal((2, *IMAGE)).astype(np.float32)}
    before, after = (run_graph(g, feeds, {"batch": 2})["output"] for g in (graph, again))
    assert_close(before, after, 1e-5, "answers")  # NumPy adds in another order where a constant was transposed


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("stored") / "graph.npz"
    save_graph(passes.run(trace(Sequential(Linear(3, 2), Tanh()))), path)
    return path.read_bytes()


def _is_refused_or_read(data: bytes, path: Path) -> bool:
    """Load; any error but a GraphError fails the test."""
    path.write_bytes(data)
    try:
        load_graph(path)
    except GraphError:
        return True
    return False


def test_files_cut_short_are_refused(stored: bytes, tmp_path: Path) -> None:
    for length in [*range(0, len(stored), 37), len(stored) - 1]:
        assert _is_refused_or_read(stored[:length], tmp_path / "cut.npz"), length


def test_flipped_bytes_are_refused_or_change_nothing_that_matters(stored: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for place in range(0, len(stored), 3):
        damaged = bytearray(stored)
        damaged[place] ^= 1 << int(rng.integers(8))
        refused += _is_refused_or_read(bytes(damaged), tmp_path / "flipped.npz")
    assert refused > len(stored) / 3 * 0.5


def _with_json(stored: bytes, text: bytes) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(stored)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(name, text if name == "graph.json" else old.read(name))
    return result.getvalue()


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(p for key, value in items for p in _places(value, (*path, key)))]


@pytest.mark.parametrize("wrong", [None, -1, "nonsense", [], {}, [["//", "batch", 0]], 1e300], ids=repr)
def test_any_wrong_value_in_the_json_is_a_graph_error(stored: bytes, tmp_path: Path, wrong: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        text = archive.read("graph.json")
    refused = 0
    places = _places(json.loads(text))[1:]
    for path in places:
        data = json.loads(text)
        owner = data
        for key in path[:-1]:
            owner = owner[key]
        owner[path[-1]] = wrong
        refused += _is_refused_or_read(_with_json(stored, json.dumps(data).encode()), tmp_path / "wrong.npz")
    assert refused > len(places) * 0.3


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b'{"format": 2}', b"{" * 100_000, b"\xff\xfe"], ids=repr)
def test_json_that_is_no_graph_is_refused(stored: bytes, tmp_path: Path, text: bytes) -> None:
    assert _is_refused_or_read(_with_json(stored, text), tmp_path / "no.npz")


@pytest.mark.parametrize("value", [{"a": 1}, np.ones(2), print], ids=repr)
def test_attributes_that_json_has_not_are_refused(value: Any) -> None:
    with pytest.raises(GraphError, match="cannot be stored"):
        attrs_to_json({"value": (1, [value])})


def test_attributes_come_back() -> None:
    size = Dim.symbol("n") * 2 + 1
    attrs = {"a": (1, 2.5), "b": None, "c": True, "d": "text", "e": size, "f": (size, 3), "g": ex.operand(0) + 1}
    written = json.dumps(attrs_to_json({**attrs, "a": [np.int64(1), np.float32(2.5)]}), allow_nan=False)
    assert attrs == attrs_from_json(json.loads(written))


def test_attributes_that_are_no_finite_numbers_come_back() -> None:
    attrs = {"a": float("inf"), "b": (np.float32("-inf"), 1.0), "c": float("nan")}
    found = attrs_from_json(json.loads(json.dumps(attrs_to_json(attrs), allow_nan=False)))
    assert (float("inf"), (float("-inf"), 1.0)) == (found["a"], found["b"])
    assert np.isnan(found["c"])


@pytest.mark.parametrize("text", ["1e999", "Infinity", 3, [], None], ids=repr)
def test_a_number_that_is_none_is_refused(text: Any) -> None:
    with pytest.raises((LookupError, TypeError)):
        attrs_from_json({"a": {"number": text}})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"none\.npz is not a stored graph"):
        load_graph(tmp_path / "none.npz")


def test_pickled_arrays_are_never_unpickled(stored: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([print], dtype=object), allow_pickle=True)
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(stored)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(name, buffer.getvalue() if name == "0.npy" else old.read(name))
    assert _is_refused_or_read(result.getvalue(), tmp_path / "pickled.npz")
