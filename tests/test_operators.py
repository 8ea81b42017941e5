"""Operators of Tensor: Python's and PyTorch's rules for signs, dtypes, comparisons, truth and changes in place."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import no_grad, where
from neurenix.errors import GraphError, InputError
from neurenix.tensor import Tensor


def test_divisions_have_pythons_signs() -> None:
    for a in (7, -7):
        for b in (3, -3):
            for made in (lambda x: Tensor([x]), lambda x: Tensor([float(x)])):
                x = made(a)
                assert [a // b] == (x // b).tolist()
                assert [a % b] == (x % b).tolist()
                assert [np.fmod(a, b)] == x.fmod(b).tolist()
                assert [int(a / b)] == x.div(b, rounding_mode="trunc").tolist()
                assert [a // b] == (a // made(b)).tolist()
                assert [a % b] == (a % made(b)).tolist()
    with pytest.raises(InputError, match="rounding_mode"):
        Tensor([1.0]).div(2, rounding_mode="up")


def test_quotients_and_functions_of_whole_numbers_are_floats() -> None:
    x = Tensor([1, 2, 4])
    assert "float32" == (x / 2).dtype.name == (1 / x).dtype.name == x.sqrt().dtype.name == x.gelu().dtype.name
    assert [0.5, 1.0, 2.0] == (x / 2).tolist()
    assert "int64" == (x**2).dtype.name == (x * 2).dtype.name == abs(-x).dtype.name
    assert [1, 4, 16] == (x**2).tolist()
    assert [2, 4, 16] == (2**x).tolist()
    assert [1.0, 0.5, 0.25] == (x**-1).tolist()


def test_comparisons_are_made_element_by_element() -> None:
    x, y = Tensor([1.0, 2.0, np.nan]), Tensor([1.0, 3.0, np.nan])
    assert [True, False, False] == (x == y).tolist()
    assert [False, True, True] == (x != y).tolist()
    assert [False, True, False] == (x < y).tolist() == (y > x).tolist()
    assert [True, True, False] == (x <= y).tolist() == (y >= x).tolist()
    assert [True, False, False] == ((x == y) & (x < 2)).tolist()
    assert [False, True, True] == (~(x == y)).tolist()
    assert [False] == (Tensor(np.array([200], np.uint8)) == 300).tolist()
    assert x is not None and x != None and x != "x"  # noqa: E711


def test_tensors_hash_and_compare_as_keys_by_identity() -> None:
    x, y = Tensor([1.0]), Tensor([1.0])
    assert {x: 1, y: 2} == {x: 1, y: 2} and 2 == len({x, y})


def test_truth_is_for_one_element() -> None:
    assert Tensor(2.0) and not Tensor([0])
    assert (2.5, 3, "b") == (float(Tensor([2.5])), int(Tensor([3])), "abc"[Tensor(1)])
    with pytest.raises(GraphError, match=r"\[2\]: use .any\(\) or .all\(\)"):
        bool(Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="no index"):
        "abc"[Tensor(1.0)]


def test_choices_keep_gradients_apart() -> None:
    x = Tensor([-4.0, 4.0], requires_grad=True)
    where(x > 0, x.sqrt(), 0.0 * x).sum().backward()
    assert x.grad is not None
    assert 0.25 == x.grad.tolist()[1]
    big = Tensor([-200.0, 0.0, 200.0], requires_grad=True)
    for name in ("elu", "softplus", "mish", "silu", "sigmoid", "logsigmoid", "gelu", "celu", "selu"):
        big.grad = None
        getattr(big, name)().sum().backward()
        assert big.grad is not None and np.isfinite(big.grad.numpy()).all(), name


def test_dtypes_change_by_pytorchs_names() -> None:
    x = Tensor([1.7, -1.7])
    assert [1, -1] == x.long().tolist() == x.int().tolist() == x.to(neurenix.int64).tolist()
    assert "int32" == x.int().dtype.name and "float16" == x.half().dtype.name and "float64" == x.double().dtype.name
    assert [True, False] == Tensor([2.0, 0.0]).bool().tolist()
    assert "int64" == x.type_as(Tensor([1])).dtype.name == x.to(Tensor([1])).dtype.name
    assert x.float() is x


def test_changes_in_place_keep_the_object_and_its_history() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    h = same = x * 2
    h += 1
    h *= h
    h -= x
    assert h is same
    h.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(4 * (2 * x.numpy() + 1) - 1, x.grad.numpy())
    total = Tensor(0.0)
    total += h.sum()
    assert total.requires_grad


def test_what_cannot_be_changed_in_place_says_so() -> None:
    leaf = Tensor([1.0], requires_grad=True)
    with pytest.raises(GraphError, match="a leaf that requires a gradient"):
        leaf += 1
    with no_grad():
        leaf -= 0.5
    assert leaf.requires_grad and [0.5] == leaf.tolist()
    h = leaf * 2
    y = h.tanh()
    h += 1
    with pytest.raises(GraphError, match="op 'tanh' needs an input"):
        y.sum().backward()
    whole = Tensor([1, 2])
    with pytest.raises(GraphError, match="int64 into float32"):
        whole += 0.5
    with pytest.raises(GraphError, match=r"\[2\] into \[3, 2\]"):
        whole += np.ones((3, 2), np.int64)


def test_underscored_methods_change_in_place() -> None:
    x = Tensor([3.0, -4.0])
    assert x.add_(1).mul_(2).clamp_(-5.0, 7.0) is x
    assert [7.0, -5.0] == x.tolist()
    assert [0.0, 0.0] == x.zero_().tolist()
    assert [2.0, 2.0] == x.fill_(2).tolist()
    assert [1.0, 5.0] == x.copy_(np.array([1, 5])).tolist()


def test_conveniences_agree_with_numpy() -> None:
    x = Tensor([1.25, -2.5, 3.75])
    assert [0.25, -0.5, 0.75] == x.frac().tolist()
    np.testing.assert_allclose([1.2, -2.5, 3.8], x.round(1).tolist(), rtol=1e-6)
    assert [0.0, -2.5, 2.0] == x.where(x < 1, Tensor([0.0, 0.0, 2.0])).tolist()
    assert [1.25, 0.0, 2.0] == x.clamp(Tensor([0.0, 0.0, 0.0]), Tensor([2.0, 2.0, 2.0])).tolist()
    assert [True, True, True] == x.isclose(x * (1 + 1e-6)).tolist()
    assert [0.0, 1.0, 3.4028234663852886e38] == Tensor([np.nan, 1.0, np.inf]).nan_to_num().tolist()
    np.testing.assert_allclose(np.log(0.25 / 0.75), Tensor([0.25]).logit().tolist()[0], rtol=1e-6)
