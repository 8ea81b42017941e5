"""Convolutions, products and einsum with random options: PyTorch's answers and PyTorch's gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional

from neurenix import Tensor, einsum, nn

pytestmark = pytest.mark.peers
RELATIVE = 1e-5
Options = dict[str, Any]


def _agree(ours: Callable[..., Any], theirs: Callable[..., Any], shapes: Sequence[tuple[int, ...]], seed: int) -> None:
    """Compare the result, and the gradient of each operand by a random one of the result, to 1e-5 relative."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    mine = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, expected = ours(*mine), theirs(*others)
    _near(expected, y, "the result")
    weight = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(weight)
    expected.backward(torch.tensor(weight))
    for i, (a, b) in enumerate(zip(mine, others)):
        _near(b.grad, a.grad, f"gradient {i}")


def _near(expected: Any, actual: Any, what: str) -> None:
    wanted = expected.detach().numpy()
    assert wanted.shape == actual.shape, what
    error = np.abs(wanted - actual.numpy()).max(initial=0) / max(float(np.abs(wanted).max(initial=0)), 1e-30)
    assert error <= RELATIVE, f"{what} is {error:.1e} away"


def _numbers(rng: np.random.Generator, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high + 1, rank))


def _forward(rng: np.random.Generator, rank: int) -> tuple[list[tuple[int, ...]], Options]:
    kernel, dilation = _numbers(rng, rank, 1, 4), _numbers(rng, rank, 1, 2)
    groups = int(rng.choice([1, 2, 3]))
    inner, made = _numbers(rng, 2, 1, 4)
    if rng.random() < 0.3:
        groups, inner, made = 5, 1, 1
    size = tuple(int(d * (k - 1) + 1 + rng.integers(0, 6)) for k, d in zip(kernel, dilation))
    options: Options = {"stride": _numbers(rng, rank, 1, 3), "dilation": dilation, "groups": groups}
    options["padding"] = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    if rng.random() < 0.2:
        options |= {"stride": 1, "padding": "same"}
    shapes = [(int(rng.integers(1, 4)), inner * groups, *size), (made * groups, inner, *kernel), (made * groups,)]
    return shapes, options


def _transposed(rng: np.random.Generator, rank: int) -> tuple[list[tuple[int, ...]], Options]:
    kernel, dilation, stride = (_numbers(rng, rank, 1, high) for high in (4, 2, 3))
    groups, inner, made = (int(v) for v in rng.integers(1, 4, 3))
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation))
    reach = [d * (k - 1) for k, d in zip(kernel, dilation)]
    options: Options = {
        "stride": stride, "dilation": dilation, "groups": groups, "output_padding": extra,
        "padding": tuple(int(rng.integers(0, r // 2 + 1)) for r in reach),
    }  # fmt: skip
    size = _numbers(rng, rank, 2, 5)
    image = (int(rng.integers(1, 4)), inner * groups, *size)
    return [image, (inner * groups, made, *kernel), (made * groups,)], options


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
def test_convolutions_agree(name: str, rank: int, seed: int) -> None:
    rng = np.random.default_rng([seed, rank])
    shapes, options = (_forward if name == "conv" else _transposed)(rng, rank)
    name = f"{name}{rank}d"
    _agree(
        lambda x, w, b: getattr(x, name)(w, b, **options),
        lambda x, w, b: getattr(torch.nn.functional, name)(x, w, b, **options),
        shapes,
        seed,
    )


@pytest.mark.parametrize("seed", range(20))
def test_products_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, k, n = _numbers(rng, 3, 1, 20)
    full = _numbers(rng, int(rng.integers(0, 4)), 1, 4)
    left, right = (tuple(1 if rng.random() < 0.3 else v for v in full) for _ in range(2))
    a: tuple[int, ...] = (*left, m, k) if rng.random() < 0.8 else (k,)
    b: tuple[int, ...] = (*right, k, n) if rng.random() < 0.8 else (k,)
    _agree(lambda x, y: x @ y, torch.matmul, [a, b], seed)


@pytest.mark.parametrize("seed", range(40))
def test_einsum_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = {label: int(rng.integers(1, 5)) for label in "abcdefG"}
    terms = ["".join(rng.choice(list(sizes), int(rng.integers(1, 4)))) for _ in range(int(rng.integers(1, 4)))]
    hidden = [int(rng.integers(0, 3)) if rng.random() < 0.4 else None for _ in terms]
    shapes = [
        (*((3, 2)[2 - (h or 0) :]), *(sizes[c] for c in term)) for term, h in zip(terms, hidden)
    ]  # fmt: skip
    equation = ",".join(("" if h is None else "...") + term for term, h in zip(terms, hidden))
    if rng.random() < 0.7:
        letters = sorted(set("".join(terms)))
        kept = [str(c) for c in rng.permutation(letters)][: int(rng.integers(0, len(letters) + 1))]
        dots = "..." if any(h is not None for h in hidden) else ""
        equation += "->" + dots + "".join(kept)
    _agree(lambda *xs: einsum(equation, *xs), lambda *xs: torch.einsum(equation, *xs), shapes, seed)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2])
def test_padding_modes_agree(mode: str, rank: int) -> None:
    kind = f"Conv{rank}d"
    make = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 2, "groups": 2, "padding_mode": mode}
    ours, theirs = getattr(nn, kind)(**make), getattr(torch.nn, kind)(**make)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    _agree(ours, theirs, [(2, 4, *(7, 8)[:rank])], rank)


@pytest.mark.parametrize("kind", [f"Conv{turned}{rank}d" for turned in ("", "Transpose") for rank in (1, 2, 3)])
def test_a_state_of_pytorchs_layer_fits(kind: str) -> None:
    make = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
    make |= {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    ours, theirs = getattr(nn, kind)(**make), getattr(torch.nn, kind)(**make)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    _agree(ours, theirs, [(2, 4, *(7, 8, 9)[: int(kind[-2])])], 0)
