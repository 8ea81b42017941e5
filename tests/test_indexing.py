"""Square brackets: every key that NumPy takes gives NumPy's answer, and its gradient; assignment where it is safe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_cases import NATIVE, assert_close, run_forms
from tracing import traced

from neurenix import Tensor, from_numpy
from neurenix.errors import GraphError, InputError

Array = np.ndarray[Any, Any]


@st.composite
def keys(draw: st.DrawFn) -> tuple[Array, Any]:
    """An array and a key of numbers, slices, None, ... and at most two lists side by side."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    items: list[Any] = []
    length = draw(st.integers(1, 4))
    lists, first_list = draw(st.integers(0, 2)), draw(st.integers(0, len(shape) - 1))
    used = draw(st.integers(0, len(shape)))
    for axis, n in enumerate(shape[:used]):
        position = st.none() | st.integers(-n - 1, n + 1)
        if first_list <= axis < first_list + lists:
            items.append(draw(st.lists(st.integers(-n, n - 1), min_size=length, max_size=length)))
        elif lists == 0 and draw(st.booleans()):
            items.append(draw(st.integers(-n, n - 1)))
        else:
            items.append(slice(draw(position), draw(position), draw(st.sampled_from([None, 1, 2, 3, -1, -2]))))
    if draw(st.booleans()):
        items.append(Ellipsis)
    if lists == 0 and draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), None)
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    return array, tuple(items) if len(items) != 1 else items[0]


@settings(max_examples=150, deadline=None)
@given(keys())
def test_keys_give_numpys_answer_and_its_gradient(case: tuple[Array, Any]) -> None:
    array, key = case
    x = Tensor(array, requires_grad=True)
    y = x[key]
    np.testing.assert_array_equal(array[key], y.numpy())
    weight = np.random.default_rng(0).standard_normal(y.numpy().shape)
    y.backward(weight)
    expected = np.zeros_like(array)
    np.add.at(expected, key, weight)
    assert x.grad is not None
    np.testing.assert_allclose(expected, x.grad.numpy(), atol=1e-12)


def test_masks_and_tensors_pick_elements() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    x = Tensor(array)
    mask = array % 5 == 0
    np.testing.assert_array_equal(array[mask], x[mask].numpy())
    np.testing.assert_array_equal(array[mask], x[Tensor(mask)].numpy())
    np.testing.assert_array_equal(array[:, mask[0, :, 0]], x[:, mask[0, :, 0]].numpy())
    np.testing.assert_array_equal(array[np.zeros((2, 3, 4), bool)], x[np.zeros((2, 3, 4), bool)].numpy())
    places = np.array([[1, 0], [2, -1]])
    np.testing.assert_array_equal(array[:, places], x[:, Tensor(places)].numpy())
    np.testing.assert_array_equal(array[:, [0, 2]], x[:, Tensor(np.array([0, 2], np.uint8))].numpy())
    np.testing.assert_array_equal(array[Tensor(np.array(1)).numpy()], x[Tensor(np.array(1))].numpy())
    assert [] == x[0, 0, []].tolist()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (4, "index 4 is out of range for axis 0 of 4"), ((0, -4), "index -4 is out of range for axis 1 of 3"),
        ([0, 9], "index 9 is out of range for 4"), ((1, 1, 1), "2 axes got 3 indices"),
        ((..., ...), "twice"), (True, "True is no index"), ([0.5], "indices are integers, got float"),
        (np.array([True, False]), "a mask of 2 elements does not fit axis 0 of 4"),
        (np.zeros((4, 4), bool), "a mask of 4 elements does not fit axis 1 of 3"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_are_refused(key: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Tensor(np.zeros((4, 3), np.float32))[key]


def test_a_tensor_can_be_iterated_by_rows() -> None:
    assert [[0, 1], [2, 3]] == [row.tolist() for row in Tensor(np.arange(4).reshape(2, 2))]
    with pytest.raises(InputError, match="without axes"):
        iter(Tensor(1.0))


def test_assignment_writes_where_no_gradient_is_lost() -> None:
    array = np.zeros((3, 3), np.float32)
    x = from_numpy(array)
    x[1:, 0] = 5
    x[Tensor(np.eye(3, dtype=bool))] = Tensor([1.0, 2.0, 3.0])
    x[[0, 2], 2] = np.array([7, 8])
    assert [[1, 0, 7], [5, 2, 0], [5, 0, 8]] == x.tolist()
    assert not array.any()


def test_assignment_is_noticed_by_gradients_that_needed_the_old_values() -> None:
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=True)
    y = (x * w).sum()
    x[0] = 9.0
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_assignment_to_a_broadcast_tensor_leaves_its_source_alone() -> None:
    row = Tensor([1.0, 2.0])
    grid = row.expand(2, 2)
    grid[0, 0] = 9.0
    assert ([[9, 2], [1, 2]], [1, 2]) == (grid.tolist(), row.tolist())


def test_assignment_that_would_be_lost_is_refused() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match="would lose gradients: use where or scatter"):
        x[0] = 3.0
    with pytest.raises(GraphError, match="would lose gradients"):
        (x * 2)[0] = 3.0

    with pytest.raises(InputError, match=r"on shape \[2\]: index 5 is out of bounds"):
        Tensor([1.0, 2.0])[5] = 1.0

    def model(x: Tensor) -> Tensor:
        x[0] = 1.0
        return x

    with pytest.raises(GraphError, match="while a model is being traced"):
        traced(model, {"x": "float32[3]"})


def test_a_mask_while_tracing_is_refused() -> None:
    with pytest.raises(GraphError, match="not known while tracing: use where or masked_fill"):
        traced(lambda x: x[x.cast("bool")], {"x": "float32[3]"})


@pytest.mark.zig
def test_traced_places_compile() -> None:
    def model(x: Tensor, i: Tensor, k: Tensor) -> Tensor:
        return x[i] + x[i, k].unsqueeze(1) + x[:, k][i] + x[[0, 1, 0]] + x[2, None, i] * x[-1, 0]

    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((3, 3)).astype(np.float32), "i": np.array([2, 0, -1]), "k": np.array([1, 1, 0])}
    feeds["k"] = feeds["k"].astype(np.int32)
    graph = traced(model, {"x": "float32[3, 3]", "i": "int64[3]", "k": "int32[3]"})
    x, i, k = feeds.values()
    # A number drops its axis first, as in PyTorch; NumPy would count it as one more list of places.
    expected = x[i] + x[i, k][:, None] + x[:, k][i] + x[[0, 1, 0]] + x[2][None, i] * x[-1, 0]
    for form, (answers,) in run_forms(graph, [(feeds, {})], NATIVE[:1]):
        assert_close(expected, answers["output"], 1e-6, form)
