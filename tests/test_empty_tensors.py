"""Claims about tensors of no elements, and about shapes that do not fit: what drawing them has found wrong."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import NATIVE, Case, assert_close, graph_of, reference, run_forms

from neurenix import ops
from neurenix.errors import GraphError
from neurenix.graph.packing import LAYOUTS, pack, unpack
from neurenix.nn import BatchNorm2d, Conv2d
from neurenix.tensor import Tensor, apply


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_of_no_images_is_none_and_its_gradients_are_zeros(groups: int, kernel: tuple[int, int],
                                                                        stride: int) -> None:  # fmt: skip
    layer = Conv2d(4, 4, kernel, stride, groups=groups)
    x = Tensor(np.zeros((0, 4, 5, 6), np.float32), requires_grad=True)
    y = layer(x)
    assert (0, 4) == y.shape[:2]
    y.sum().backward()
    assert x.grad is not None and x.shape == x.grad.shape
    assert layer.weight.grad is not None and not layer.weight.grad.numpy().any()
    assert layer.weight.shape == layer.weight.grad.shape


def test_a_convolution_of_no_channels_is_zeros() -> None:
    x, w = np.zeros((2, 0, 5, 6), np.float32), np.zeros((3, 0, 2, 2), np.float32)
    assert np.zeros((2, 3, 4, 5)).tolist() == apply("conv2d", x, w).tolist()
    assert (0, 2 * 4 * 5) == apply("im2col", x, kernel_size=(2, 2)).shape
    with pytest.raises(GraphError, match=r"op 'depthwise2d'.*\[2, 0, 5, 6\] has no channels"):
        apply("depthwise2d", x, np.zeros((0, 1, 2, 2), np.float32), kernel_size=(2, 2))


def test_the_statistics_of_no_rows_have_gradients_of_no_rows() -> None:
    x = Tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    apply("moments", x, axes=(1,)).sum().backward()
    assert x.grad is not None and (0, 3) == x.grad.shape
    with pytest.raises(GraphError, match="nothing has no mean"):
        BatchNorm2d(3)(np.zeros((0, 3, 2, 2), np.float32))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 9), (9, 9)])
def test_weights_of_no_elements_can_be_packed(layout: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = unpack(pack(array, layout), array.dtype, layout, shape)
    assert (shape, array.tolist()) == (found.shape, found.tolist())


@pytest.mark.zig
def test_compiled_products_over_no_elements_are_zeros() -> None:
    none = [(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32), "matmul"),
            (np.zeros((2, 0, 5, 6), np.float32), np.zeros((3, 0, 2, 2), np.float32), "conv2d")]  # fmt: skip
    cases = [Case(ops.get(name), (a, b), ops.get(name).bind({})) for a, b, name in none]
    graph, feeds = graph_of(cases)
    expected = reference(graph, feeds)
    for form, (found,) in run_forms(graph, [(feeds, {})], NATIVE[:1]):
        for name, value in expected.items():
            assert_close(value, found[name], 0, f"{name} on {form}")


IMAGE, WINDOW = np.zeros((1, 2, 4, 4), np.float32), {"kernel_size": (2, 2), "stride": (2, 2)}


@pytest.mark.parametrize(
    ("name", "shape", "attrs", "message"),
    [
        ("max_pool2d_scatter", (1, 2, 4, 4), WINDOW, r"must be \[1, 2, 2, 2\], got \[1, 2, 4, 4\]"),
        ("max_pool2d_gather", (1, 1, 4, 4), WINDOW, r"must be \[1, 2, 4, 4\], got \[1, 1, 4, 4\]"),
        ("adaptive_max_pool2d_scatter", (1, 2, 3, 1), {"output_size": (1, 3)}, r"must be \[1, 2, 1, 3\]"),
        ("adaptive_max_pool2d_gather", (2, 2, 4, 4), {"output_size": (1, 3)}, r"must be \[1, 2, 4, 4\]"),
    ],
)
def test_gradients_that_do_not_fit_their_pool_are_refused(name: str, shape: tuple[int, ...], attrs: dict[str, object],
                                                          message: str) -> None:  # fmt: skip
    given = [np.zeros(shape, np.float32)] * (ops.get(name).arity - 1)
    with pytest.raises(GraphError, match=f"op '{name}'.*{message}"):
        apply(name, IMAGE, *given, **attrs)


def test_means_that_do_not_fit_their_images_are_refused() -> None:
    with pytest.raises(
        GraphError, match=r"op 'adaptive_avg_pool2d_spread'.*must be \[1, 2, 4, 4\], got \[2, 2, 4, 4\]"
    ):
        apply("adaptive_avg_pool2d_spread", np.zeros((2, 2, 4, 4), np.float32), shape=(1, 2, 9, 9))
