"""Axes of size 0, declared as such or reached by a dim whose `min` is 0: compiled, and held to NumPy's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from op_cases import NATIVE, WASM, Array, Case, answers_of, both, run_forms
from tracing import traced

from neurenix import cat, ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.errors import DimensionError, GraphError, InputError
from neurenix.graph.packing import LAYOUTS, pack, unpack
from neurenix.phynexus.memory import read_inputs
from neurenix.phynexus.reference import run_graph, run_plan, unpack_tensors
from neurenix.tensor import Tensor

FORMS = both(NATIVE[-1:], WASM[1:2])


def _case(name: str, *arrays: Any, **attrs: Any) -> Case:
    row = ops.get(name)
    return Case(row, tuple(np.asarray(a) for a in arrays), row.bind(attrs))


def _zeros(*shape: int, dtype: str = "float32") -> Array:
    return np.zeros(shape, dtype)


CASES = [
    _case("add", _zeros(0, 3), np.ones((1, 3), np.float32)),
    _case("cast", _zeros(2, 0), dtype="int64"),
    *(_case(name, _zeros(3, 0, 2), axes=(1,)) for name in ("sum", "mean", "prod", "max", "min", "l2_norm")),
    *(_case(name, _zeros(0, 2, dtype=kind), axes=(0,))
      for name in ("sum", "prod", "max", "min") for kind in ("int64", "uint8", "float64", "float16")),
    _case("all", _zeros(0), axes=None), _case("any", _zeros(0), axes=None),
    _case("argmax", _zeros(0, 3), axis=1), _case("cumsum", _zeros(0, 3), axis=0), _case("argsort", _zeros(2, 0)),
    _case("softmax", _zeros(3, 0)), _case("softmax", _zeros(0, 3)), _case("log_softmax", _zeros(3, 0)),
    _case("softmax", _zeros(3, 0, dtype="float64")),
    _case("matmul", _zeros(2, 0), _zeros(0, 3)), _case("matmul", _zeros(0, 4), np.ones((4, 3), np.float32)),
    _case("batch_matmul", _zeros(5, 2, 0), _zeros(5, 0, 3)),
    _case("batch_matmul", _zeros(2, 0, dtype="int32"), _zeros(0, 3, dtype="int32")),
    _case("permute", _zeros(2, 0, 3), axes=(2, 1, 0)), _case("expand", _zeros(1, 0), shape=(4, 0)),
    _case("slice", np.ones((4, 3), np.float32), starts=(2, 0), stops=(2, 3), steps=(1, 1)),
    _case("concat", _zeros(0, 3), np.ones((2, 3), np.float32), _zeros(0, 3), axis=0),
    _case("pad", _zeros(0, 2), np.float32(7), before=(1, 0), after=(1, 1)),
    _case("gather", np.ones((3, 2), np.float32), _zeros(0, dtype="int64")),
    _case("gather", _zeros(0, 2), _zeros(0, dtype="int64")),
    _case("scatter", np.ones((3, 2), np.float32), _zeros(0, dtype="int64"), _zeros(0, 2)),
    _case("conv2d", _zeros(0, 2, 5, 5), np.ones((3, 2, 3, 3), np.float32)),
]  # fmt: skip


@pytest.mark.parametrize("forms", FORMS)
def test_kernels_pass_over_what_is_empty(forms: tuple[str, ...]) -> None:
    for case, form, wanted, answer in answers_of(CASES, forms):
        assert wanted.shape == answer.shape, f"{case} on {form}"
        np.testing.assert_array_equal(wanted, answer.astype(wanted.dtype), f"{case} on {form}")


def test_the_largest_of_none_is_the_least_of_its_dtype() -> None:
    assert [-np.inf, -np.inf] == Tensor(_zeros(0, 2)).amax(0).tolist()
    assert [-128] == Tensor(_zeros(1, 0, dtype="int8")).amax(1).tolist()
    assert [2**64 - 1] == Tensor(_zeros(1, 0, dtype="uint64")).amin(1).tolist()


def test_the_place_of_the_largest_of_none_is_refused() -> None:
    with pytest.raises(GraphError, match=r"op 'argmax': axis 0 of \[0, 2\] is empty"):
        Tensor(_zeros(0, 2)).argmax(0)
    with pytest.raises(GraphError, match=r"axis 0 of \[past, 2\] may be empty.*raise the 'min' of past"):
        traced(lambda x: x.argmax(0), {"x": "float32[past, 2]"}, {"past": (0, 4)})
    traced(lambda x: x.argmax(0), {"x": "float32[past, 2]"}, {"past": (1, 4)})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(0,), (0, 8), (8, 0)])
def test_layouts_hold_nothing(layout: str, shape: tuple[int, ...]) -> None:
    assert shape == unpack(pack(_zeros(*shape), layout), np.dtype("float32"), layout, shape).shape


# ── a cache that begins empty ───────────────────────────────────────────────────────────────────────────


def _attention(past: Any, new: Any) -> Mapping[str, Any]:
    """One step of attention over what was there and what is new."""
    keys = cat([past, new], 1)
    weights = (new @ keys.transpose(1, 2)).softmax(-1)
    return {"answer": weights @ keys, "all": keys, "old": past * 2, "last": keys[:, -1:], "sum": past.sum(1)}


@pytest.mark.parametrize("forms", FORMS)
def test_a_cache_may_be_empty_and_grow(forms: tuple[str, ...]) -> None:
    specs = {"past": "float32[batch, past, 6]", "new": "float32[batch, sequence, 6]"}
    graph = traced(_attention, specs, {"batch": (1, 3), "past": (0, 5), "sequence": (1, 4)})
    rng = np.random.default_rng(0)
    feeds = []
    for dims in ({"batch": 1, "past": 0, "sequence": 1}, {"batch": 3, "past": 5, "sequence": 4},
                 {"batch": 2, "past": 0, "sequence": 4}):  # fmt: skip
        shapes = {"past": (dims["batch"], dims["past"], 6), "new": (dims["batch"], dims["sequence"], 6)}
        feeds.append(({n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}, dims))
    plan, weights = schedule(passes.run(graph))
    for arrays, dims in feeds:
        read, found = read_inputs(plan, arrays)
        assert dims == found
        expected = run_graph(graph, read, dims, precision="float64")
        planned = run_plan(plan, unpack_tensors(plan, weights), read, dims)
        assert (dims["batch"], dims["past"] + dims["sequence"], 6) == planned["all"].shape
        for name, array in planned.items():
            np.testing.assert_allclose(array, expected[name], atol=1e-5)
    for form, answers in run_forms(graph, feeds, forms):
        for (arrays, dims), answer in zip(feeds, answers):
            expected = run_graph(graph, arrays, dims, precision="float64")
            for name, array in answer.items():
                np.testing.assert_allclose(array, expected[name], atol=1e-5, err_msg=f"{name} {dims} {form}")


def test_slices_of_what_may_be_empty_take_no_more_than_there_is() -> None:
    graph = traced(lambda x: x[:1] * 1, {"x": "float32[past]"}, {"past": (0, 4)})
    for size in range(3):
        (answer,) = run_graph(graph, {"x": np.ones(size, np.float32)}, {"past": size}).values()
        assert (min(size, 1),) == answer.shape


def test_dims_that_may_be_0_are_declared_so() -> None:
    with pytest.raises(InputError, match="'n' must have 0 <= min <= max"):
        traced(lambda x: x + 1, {"x": "float32[n]"}, {"n": (-1, 4)})
    graph = traced(lambda x: x + 1, {"x": "float32[n]"}, {"n": (1, 4)})
    plan, _ = schedule(passes.run(graph))
    with pytest.raises(DimensionError, match="'n' is 0; this model was compiled for 1 to 4"):
        read_inputs(plan, _zeros(0))
