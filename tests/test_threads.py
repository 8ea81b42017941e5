"""Claims about threads: all the work is done, errors arrive, and no answer depends on how many there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import ops
from neurenix.errors import InputError
from neurenix.threads import blas_threads, buffers, each, empty, held_blas, pool

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = neurenix.get_num_threads()
    yield
    neurenix.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_every_item_is_worked_on_once(threads: int, count: int) -> None:
    neurenix.set_num_threads(threads)
    done = np.zeros(count, np.int64)

    def work(index: int) -> None:
        done[index] += 1

    each(work, range(count))
    assert [1] * count == done.tolist()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("error", [IndexError, KeyError])
def test_an_items_error_is_raised(threads: int, error: type[Exception]) -> None:
    neurenix.set_num_threads(threads)

    def work(index: int) -> None:
        if index == 7:
            raise error("seven")

    with pytest.raises(error, match="seven"):
        each(work, range(8))
    each(work, range(7))


def test_threads_do_help_and_pieces_of_pieces_are_not_shared_out() -> None:
    neurenix.set_num_threads(2)
    both, names = threading.Barrier(2, timeout=20), set()

    def work(_: int) -> None:
        both.wait()  # passes only where two items are worked on at a time
        own = threading.current_thread().name
        each(lambda _: names.add((own, threading.current_thread().name)), range(3))

    each(work, range(2))
    assert 2 == len(names)
    assert all(outer == inner for outer, inner in names)


def test_blas_is_held_to_one_thread_while_pieces_are_worked_on() -> None:
    control = blas_threads()
    assert control is not None
    before = control.get()
    neurenix.set_num_threads(2)
    try:
        control.set(2)
        seen: list[int] = []
        each(lambda _: seen.append(control.get()), range(4))
        assert [1] * 4 == seen
        with held_blas(), held_blas():
            assert 1 == control.get()
        assert 2 == control.get()
    finally:
        control.set(before)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_number_of_threads_is_a_whole_one(count: Any) -> None:
    with pytest.raises(InputError, match="whole number from 1"):
        neurenix.set_num_threads(count)


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("4,2", 4), ("0", None), ("many", None)])
def test_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch, given: str, expected: int | None) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(pool._pool, "count", None)
    found = neurenix.get_num_threads()
    assert found == expected if expected else 1 <= found <= 8


def _normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


_M = _normal(700, 600)
_WINDOW = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
_G, _X, _W = _normal(23, 24, 20, 20), _normal(23, 16, 20, 20), _normal(24, 16, 3, 3)
_I, _V, _B = _normal(60, 1, 28, 28), _normal(60, 24, 28, 28), _normal(24)
_P = _V.reshape(60, 24, 14, 2, 14, 2).max(axis=(3, 5))
_MOMENTS, _EPS = np.abs(_normal(2, 1, 24, 1, 1)), {"eps": 1e-5}
_POOL = {**ops.get("max_pool2d").attrs, "kernel_size": (2, 2), "stride": (2, 2)}
LARGE: dict[str, Callable[[], Array]] = {
    "matmul": lambda: ops.get("matmul").evaluate([_M, _M[:300].T], {}),
    "tall matmul": lambda: ops.get("matmul").evaluate([_M, _M.T[:, :90]], {}),
    "conv2d": lambda: ops.get("conv2d").evaluate([_X, _W], {**_WINDOW, "layout": "NCHW"}),
    "conv2d_input_gradient": lambda: ops.get("conv2d_input_gradient").evaluate(
        [_G, _W], {**_WINDOW, "shape": _X.shape}
    ),
    "conv2d_weight_gradient": lambda: ops.get("conv2d_weight_gradient").evaluate(
        [_G, _X], {**_WINDOW, "kernel_size": (3, 3)}
    ),
    "biased conv2d of one channel": lambda: ops.get("biased_conv2d").evaluate([_I, _W[:, :1], _B], _WINDOW),
    "its weight's gradient": lambda: ops.get("conv2d_weight_gradient").evaluate(
        [_V, _I], {**_WINDOW, "kernel_size": (3, 3)}
    ),
    "linear": lambda: ops.get("linear").evaluate([_M, _M[:300], _M[0, :300]], {}),
    "relu": lambda: ops.get("relu").evaluate([_V], {}),
    "relu_gradient": lambda: ops.get("relu_gradient").evaluate([_V, np.maximum(_V, 0)], {}),
    "max_pool2d": lambda: ops.get("max_pool2d").evaluate([_V], _POOL),
    "max_pool2d_scatter": lambda: ops.get("max_pool2d_scatter").evaluate([_V, _P, _P], _POOL),
    "max_pool2d_scatter over the edge": lambda: ops.get("max_pool2d_scatter").evaluate(
        [_V, *[ops.get("max_pool2d").evaluate([_V], {**_POOL, "padding": (1, 1)})] * 2], {**_POOL, "padding": (1, 1)}
    ),
    "moments": lambda: ops.get("moments").evaluate([_V], {"axes": (0, 2, 3)}),
    "batch_norm": lambda: ops.get("batch_norm").evaluate([_V, _MOMENTS, _B, _B], _EPS),
    "batch_norm_sums": lambda: ops.get("batch_norm_sums").evaluate([_V, _V, _MOMENTS], _EPS),
    "batch_norm_input_gradient": lambda: ops.get("batch_norm_input_gradient").evaluate(
        [_V, _V, _MOMENTS, _B, _MOMENTS.reshape(2, -1)], _EPS
    ),
    "gelu": lambda: ops.get("gelu").evaluate([_X], {"approximate": "none"}),
    "silu": lambda: ops.get("silu").evaluate([_X.transpose(1, 0, 3, 2)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_no_answer_depends_on_the_number_of_threads(name: str) -> None:
    found = set()
    for threads in (1, 2, 3):
        neurenix.set_num_threads(threads)
        found.add(LARGE[name]().tobytes())
    assert 1 == len(found)


def test_products_in_pieces_are_products() -> None:
    for a, b in ((_M, _M.T[:, :90]), (_M[:90], _M.T), (_M.T, _M)):
        expected = np.einsum("mk,kn->mn", a.astype(np.float64), b, optimize=True)
        np.testing.assert_allclose(expected, ops.get("matmul").evaluate([a, b], {}), atol=2e-3)


def test_large_arrays_are_made_of_memory_that_nobody_uses_any_more() -> None:
    shape, dtype = (300, 200), np.dtype(np.float32)
    first = empty(shape, dtype)
    first[...] = 1
    second = empty(shape, dtype)
    second[...] = 2
    kept, place = first[5:7], _address(second)
    assert 0 == place % 64
    del first, second
    third, fourth = empty(shape, dtype), empty(shape, dtype)
    assert place in (_address(third), _address(fourth))
    third[...] = fourth[...] = 3
    assert [1.0] == np.unique(kept).tolist()  # a view is a use


def test_no_two_threads_get_the_same_memory() -> None:
    neurenix.set_num_threads(4)
    found: list[Array] = []
    each(lambda _: found.append(empty((1 << 16,), np.dtype(np.float32))), range(64))
    assert 64 == len({_address(array) for array in found})


def test_kept_memory_is_bounded_and_makes_room_for_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_kept", {})
    monkeypatch.setattr(buffers, "_MOST", 1 << 20)
    byte = np.dtype(np.uint8)
    used = [empty((1 << 18,), byte) for _ in range(6)]
    assert {1 << 18: 4} == {size: len(known) for size, known in buffers._kept.items()}
    del used
    assert empty((3 << 18,), byte).size == 3 << 18
    assert {1 << 18: 1, 3 << 18: 1} == {size: len(known) for size, known in buffers._kept.items()}
    buffers.release()
    assert {} == buffers._kept


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
