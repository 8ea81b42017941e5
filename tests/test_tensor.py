"""Tensor and autograd: operators, dtypes, broadcasting gradients, the tape, and what errors say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, no_grad
from neurenix.errors import DeviceError, GraphError, InputError, NeurenixError
from neurenix.tensor import apply

RNG = np.random.default_rng(0)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
}  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("number", [2, 0.5, np.float32(0.5), np.float64(0.5), np.int64(2), np.array([1, 4])], ids=repr)
def test_numbers_and_arrays_stand_on_both_sides(operator: Callable[[Any, Any], Any], number: Any) -> None:
    array = np.array([0.5, 1.5], np.float32)
    for expected, answer in (
        (operator(array, number), operator(Tensor(array), number)),
        (operator(number, array), operator(number, Tensor(array))),
    ):
        assert isinstance(answer, Tensor)
        assert "float32" == answer.dtype.name
        np.testing.assert_allclose(expected, answer.numpy(), rtol=1e-6)


def test_integers_beside_floats_become_floats() -> None:
    whole, real = Tensor([1, 2]), Tensor([0.5, 0.25])
    assert [0.5, 0.5] == (whole * real).tolist() == (real * whole).tolist()
    assert [0.5, 1.0] == (whole * 0.5).tolist()
    assert 1.5 == whole.mean().item()
    assert "int64" == (whole + 1).dtype.name
    assert "float64" == (Tensor(np.ones(2)) * np.float32(2)).dtype.name
    assert [0.1, 0.1] == (Tensor(np.ones(2)) * 0.1).tolist()  # a number is not rounded to float32 first


def test_methods_are_the_ops_of_their_names() -> None:
    x = RNG.uniform(0.5, 2, (3, 4)).astype(np.float32)
    t = Tensor(x)
    for name in ("abs", "exp", "log", "sqrt", "tanh"):
        np.testing.assert_allclose(getattr(np, name)(x), getattr(t, name)().numpy(), rtol=1e-6)
    np.testing.assert_allclose(x @ x.T, (t @ t.transpose(0, 1)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(x.mean(0), t.mean(0).numpy(), rtol=1e-6)
    np.testing.assert_allclose(x.max(), t.amax().item())
    assert (3, 1) == t.sum(1, keepdim=True).shape
    assert (2, 6) == t.reshape((2, -1)).shape
    assert (12,) == t.flatten().shape
    assert (2, 3, 4) == t.expand((2, 3, 4)).shape
    assert (4, 3) == t.permute((1, 0)).shape
    np.testing.assert_array_equal(np.maximum(x, 1), t.maximum(1).numpy())
    np.testing.assert_array_equal(np.minimum(x, 1), t.minimum(1).numpy())
    np.testing.assert_array_equal(-x, (-t).numpy())


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize(("left", "right"), [((3, 4), (4,)), ((1, 4), (3, 1)), ((), (2, 3)), ((2, 1, 3), (5, 1))])
def test_gradients_are_summed_where_operands_broadcast(
    operator: Callable[[Any, Any], Any], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    a, b = (Tensor(RNG.uniform(1, 2, shape), requires_grad=True) for shape in (left, right))
    operator(a, b).sum().backward()
    for tensor in (a, b):
        assert tensor.grad is not None and tensor.shape == tensor.grad.shape
        for place in np.ndindex(*tensor.numpy().shape):
            sides = []
            for sign in (1, -1):
                moved = tensor.numpy().copy()
                moved[place] += sign * 1e-6
                pair = (moved, b.numpy()) if tensor is a else (a.numpy(), moved)
                sides.append(float(operator(*pair).sum()))
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(tensor.grad.numpy()[place], rel=1e-6, abs=1e-6)


def test_a_tensor_used_twice_gets_both_gradients() -> None:
    x = Tensor([2.0, 3.0], requires_grad=True)
    (x * x + x * 3 + x).sum().backward()
    assert x.grad is not None
    assert [8.0, 10.0] == x.grad.tolist()
    x.sum().backward()  # and they add up over calls
    assert [9.0, 11.0] == x.grad.tolist()


def test_equal_maxima_share_the_gradient() -> None:
    x = Tensor([[1.0, 3.0, 3.0], [5.0, 0.0, -1.0]], requires_grad=True)
    x.amax(1).sum().backward()
    assert x.grad is not None
    assert [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]] == x.grad.tolist()


def test_the_first_of_equal_maxima_in_a_window_takes_the_gradient() -> None:
    x = Tensor(np.ones((1, 1, 2, 4), np.float32), requires_grad=True)
    x.max_pool2d(kernel_size=(2, 2), stride=(2, 2)).sum().backward()
    assert x.grad is not None
    assert [[[[1.0, 0.0, 1.0, 0.0], [0.0] * 4]]] == x.grad.tolist()


def test_movements_carry_gradients_back() -> None:
    x = Tensor(RNG.standard_normal((2, 3, 4)), requires_grad=True)
    weight = RNG.standard_normal((5, 4, 6))
    (x.permute((2, 0, 1)).reshape((4, 6)).expand((5, 4, 6)) * weight).sum().backward()
    assert x.grad is not None
    expected = weight.sum(0).reshape(4, 2, 3).transpose(1, 2, 0)
    np.testing.assert_allclose(expected, x.grad.numpy(), rtol=1e-12)


def test_a_map_that_ignores_an_operand_still_broadcasts_to_it() -> None:
    from neurenix import expr as ex

    x, other = Tensor([1.0, 2.0], requires_grad=True), Tensor(np.zeros((3, 1), np.float32), requires_grad=True)
    y = x.map(ex.operand(0) * 2, other)
    assert (3, 2) == y.shape
    y.sum().backward()
    assert x.grad is not None and other.grad is None
    assert [6.0, 6.0] == x.grad.tolist()


def test_no_grad_records_nothing() -> None:
    x = Tensor([1.0], requires_grad=True)
    with no_grad():
        y = x * 2
    assert y.entry is None and not y.requires_grad
    with pytest.raises(GraphError, match="requires_grad"):
        y.backward()
    assert (x * 2).requires_grad
    assert not (x * 2).detach().requires_grad
    assert not x.clone().requires_grad


def test_deep_tapes_are_walked_without_recursion() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + 0.001
    y.backward()
    assert x.grad is not None
    assert [1.0] == x.grad.tolist()


BAD: list[tuple[str, Callable[[], Any], str]] = [
    ("broadcast", lambda: Tensor(np.ones((2, 3))) + Tensor(np.ones(4)), r"op 'add'.*\[2, 3\] and \[4\]"),
    ("matmul", lambda: Tensor(np.ones((2, 3))) @ Tensor(np.ones((2, 3))), r"op 'matmul'.*inner sizes"),
    ("vector", lambda: Tensor(np.ones(4)) @ Tensor(np.ones((3, 2))), r"op 'matmul'"),
    ("reshape", lambda: Tensor(np.ones((2, 3))).reshape((4, 2)), r"op 'reshape'.*\[2, 3\] to \[4, 2\]"),
    ("negative", lambda: Tensor(np.ones((2, 3))).reshape((-2, -3)), r"op 'reshape'.*none may be less"),
    ("two unknown", lambda: Tensor(np.ones(1)).reshape((-1, -1)), r"op 'reshape'.*one size may be -1"),
    ("indivisible", lambda: Tensor(np.ones(7)).reshape((-1, 2)), r"op 'reshape'"),
    ("permute", lambda: Tensor(np.ones((2, 3))).permute((0, 0)), r"op 'permute'.*no permutation"),
    ("expand", lambda: Tensor(np.ones((2, 3))).expand((4, 3)), r"op 'expand'"),
    ("axis", lambda: Tensor(np.ones((2, 3))).sum(2), r"op 'sum': axis 2 is out of range"),
    ("axis twice", lambda: Tensor(np.ones((2, 3))).sum((0, -2)), r"op 'sum'.*twice"),
    ("softmax", lambda: Tensor(np.ones((2, 3))).softmax(-3), r"op 'softmax': axis -3"),
    ("arity", lambda: apply("add", Tensor([1.0])), r"op 'add' takes 2 inputs, got 1"),
    ("unknown", lambda: apply("rleu", Tensor([1.0])), r"no op 'rleu'; did you mean 'relu'"),
    ("attribute", lambda: apply("relu", Tensor([1.0]), slope=1), r"op 'relu' has no attribute 'slope'"),
    ("missing", lambda: apply("permute", Tensor([1.0])), r"op 'permute' needs the attribute 'axes'"),
    ("channels", lambda: Tensor(np.ones((1, 3, 5, 5))).conv2d(np.ones((2, 4, 3, 3))), r"op 'conv2d'.*4 channels"),
    ("window", lambda: Tensor(np.ones((1, 1, 2, 2))).conv2d(np.ones((1, 1, 3, 3))), r"op 'conv2d'.*does not fit"),
    ("stride", lambda: Tensor(np.ones((1, 1, 4, 4))).max_pool2d(kernel_size=(2, 2), stride=(0, 1)), r"stride"),
    ("pair", lambda: Tensor(np.ones((1, 1, 4, 4))).apply("max_pool2d", kernel_size=2), r"op 'max_pool2d'.*attributes"),
]


@pytest.mark.parametrize(("make", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_does_not_fit_names_the_op(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


def test_backward_says_what_it_lacks() -> None:
    with pytest.raises(GraphError, match="requires_grad=True"):
        Tensor([1.0]).backward()
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"shape \[2\] needs its gradient"):
        (x * 2).backward()
    with pytest.raises(GraphError, match=r"got a gradient of shape \[3\]"):
        (x * 2).backward(np.ones(3))
    image = Tensor(np.ones((1, 4, 4, 2)), requires_grad=True)
    pooled = image.apply("max_pool2d", kernel_size=(2, 2), layout="NHWC")
    for y in (image.apply("conv2d", np.ones((3, 3, 2, 5)), layout="NHWC"), pooled):
        with pytest.raises(GraphError, match="NCHW only"):
            y.sum().backward()


def test_repr_shows_values_dtype_and_gradient() -> None:
    assert "Tensor([1., 2.])" == repr(Tensor([1.0, 2.0]))
    assert "Tensor([1, 2], dtype=int64)" == repr(Tensor(np.array([1, 2])))
    assert "Tensor([0.5], requires_grad=True)" == repr(Tensor([0.5], requires_grad=True))


def test_what_a_tensor_is() -> None:
    t = Tensor(np.ones((2, 3), np.float64))
    assert ((2, 3), 2, 6, "float64", 2) == (t.shape, t.ndim, t.size, t.dtype.name, len(t))
    assert "float32" == Tensor(t, dtype="float32").dtype.name
    assert t.to("cpu") is t
    with pytest.raises(DeviceError, match="webgpu:99"):
        t.to("webgpu:99")
    with pytest.raises(InputError, match="no length"):
        len(Tensor(1.0))
    with pytest.raises(NeurenixError, match="not supported"):
        _ = Tensor(np.ones(2, np.complex64)).dtype


def test_seeds_make_random_tensors_repeatable() -> None:
    neurenix.manual_seed(3)
    first = [neurenix.randn((2, 2)).tolist(), neurenix.rand((3,)).tolist()]
    neurenix.manual_seed(3)
    assert first == [neurenix.randn((2, 2)).tolist(), neurenix.rand((3,)).tolist()]
    assert [[0.0, 0.0]] == neurenix.zeros((1, 2)).tolist()
    assert [1.0] == neurenix.ones((1,)).tolist()
