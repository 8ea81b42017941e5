"""Moving, joining, indexing, scattering and resizing, with their gradients, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import neurenix
from neurenix.tensor import Tensor, cat, hstack, meshgrid, stack, vstack

pytestmark = pytest.mark.peers


def _same(shape: tuple[int, ...], ours: Callable[..., Any], theirs: Callable[..., Any], more: Any = ()) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in (shape, *more)]
    mine = [Tensor(a, requires_grad=True) for a in arrays]
    peers = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*peers)
    assert tuple(z.shape) == y.shape
    np.testing.assert_allclose(z.detach().numpy(), y.numpy(), rtol=1e-6, atol=1e-7)
    weight = rng.standard_normal(tuple(z.shape))
    if not z.requires_grad:
        assert not y.requires_grad
        return
    y.backward(weight)
    z.backward(torch.tensor(weight))
    for m, p in zip(mine, peers):
        if p.grad is not None:
            assert m.grad is not None
            np.testing.assert_allclose(p.grad.numpy(), m.grad.numpy(), rtol=1e-6, atol=1e-7)


BOTH: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "view": ((4, 6), lambda x: x.view(2, -1)),
    "flatten": ((2, 3, 4, 5), lambda x: x.flatten(1, 2)),
    "unflatten": ((2, 12), lambda x: x.unflatten(1, (3, -1))),
    "transpose": ((2, 3, 4), lambda x: x.transpose(-1, 0)),
    "movedim": ((2, 3, 4, 5), lambda x: x.movedim((0, 1), (-1, 0))),
    "T": ((2, 3), lambda x: x.T),
    "mT": ((2, 3, 4), lambda x: x.mT),
    "squeeze": ((2, 1, 4, 1), lambda x: x.squeeze()),
    "squeeze one": ((2, 1, 4, 1), lambda x: x.squeeze(1)),
    "squeeze none": ((2, 1), lambda x: x.squeeze(0)),
    "unsqueeze": ((2, 3), lambda x: x.unsqueeze(-1)),
    "expand": ((2, 1, 4), lambda x: x.expand(3, -1, 5, 4)),
    "repeat": ((2, 3), lambda x: x.repeat(2, 1, 3)),
    "tile": ((2, 3, 4), lambda x: x.tile(2, 2)),
    "repeat_interleave": ((2, 3), lambda x: x.repeat_interleave(3, 1)),
    "flip": ((2, 3, 4), lambda x: x.flip(0, 2)),
    "roll": ((4, 5), lambda x: x.roll((1, -2), (0, 1))),
    "roll flat": ((4, 5), lambda x: x.roll(7)),
    "split": ((7, 2), lambda x: x.split(3)[2] * 2 + x.split(3)[0][:1]),
    "split sizes": ((7, 2), lambda x: x.split([3, 4])[1]),
    "chunk": ((7, 2), lambda x: x.chunk(3)[1]),
    "unbind": ((3, 4), lambda x: x.unbind(1)[2]),
    "narrow": ((5, 4), lambda x: x.narrow(0, 1, 3)),
    "select": ((5, 4), lambda x: x.select(1, -1)),
    "tril": ((4, 5), lambda x: x.tril(1)),
    "triu": ((3, 4, 4), lambda x: x.triu(-1)),
    "diagonal": ((3, 4, 5), lambda x: x.diagonal(1, 1, 2)),
    "index int": ((4, 5, 6), lambda x: x[1, -1]),
    "index slice": ((4, 5, 6), lambda x: x[1:, ..., ::2]),
    "index none": ((4, 5), lambda x: x[:, None, 1:4]),
    "index list": ((4, 5, 6), lambda x: x[:, [0, 2, -1, 2]]),
    "index two": ((4, 5, 6), lambda x: x[[0, 1, 1], [4, -1, 0]]),
    "index two behind": ((4, 5, 6), lambda x: x[:, [0, 1, 1], [5, -1, 0]]),
    "index apart": ((4, 5, 6), lambda x: x[[0, 1], :, [3, 3]]),
    "index number and list": ((4, 5, 6), lambda x: x[1, :, [3, 3]]),
    "index broadcast": ((4, 5, 6), lambda x: x[np.array([[0], [1]]), np.array([2, 3, 3])]),
    "index mask": ((3, 4), lambda x: x[np.arange(12).reshape(3, 4) % 3 == 0]),
    "index mask of rows": ((3, 4), lambda x: x[np.array([True, False, True])]),
    "index mask between": ((2, 3, 4), lambda x: x[:, np.array([True, False, True]), 1:]),
    "index mask of two axes": ((2, 3, 4), lambda x: x[np.array([[True, False, True], [False, True, False]])]),
    "iterate": ((3, 4), lambda x: sum(row * i for i, row in enumerate(x))),
}


@pytest.mark.parametrize("name", BOTH)
def test_methods_agree(name: str) -> None:
    shape, f = BOTH[name]
    _same(shape, f, f)


PADS = [
    ((2, 3, 4, 5), (1, 2), "constant"), ((2, 3, 4, 5), (1, 2, 0, 3), "constant"),
    ((2, 3, 4, 5), (-1, 2, 1, -2), "constant"),
    ((2, 3, 4, 5), (4, 2, 1, 3), "reflect"), ((2, 3, 4, 5), (4, 2, 6, 3), "replicate"),
    ((2, 3, 4, 5), (5, 2, 1, 4), "circular"), ((2, 3, 7), (6, 2), "reflect"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "pad", "mode"), PADS)
def test_pad_agrees(shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> None:
    value = 1.5 if mode == "constant" else 0.0
    _same(shape, lambda x: x.pad(pad, mode, value), lambda x: torch.nn.functional.pad(x, pad, mode, value))


@pytest.mark.parametrize("name", ["pixel_shuffle", "pixel_unshuffle", "channel_shuffle"])
def test_channels_and_pixels_agree(name: str) -> None:
    _same((2, 8, 4, 6), lambda x: getattr(x, name)(2), lambda x: getattr(torch.nn.functional, name)(x, 2))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_joins_agree(dim: int) -> None:
    _same((2, 3), lambda *xs: stack(xs, dim), lambda *xs: torch.stack(xs, dim), [(2, 3), (2, 3)])
    _same((2, 3), lambda *xs: cat([*xs, xs[0]], dim), lambda *xs: torch.cat([*xs, xs[0]], dim), [(2, 3)])
    _same((2, 3), lambda *xs: hstack(xs), lambda *xs: torch.hstack(xs), [(2, 3)])
    _same((3,), lambda *xs: vstack(xs), lambda *xs: torch.vstack(xs), [(2, 3)])


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_meshgrids_agree(indexing: str) -> None:
    for at in range(3):
        _same((2,), lambda *xs, at=at: meshgrid(*xs, indexing=indexing)[at],
              lambda *xs, at=at: torch.meshgrid(*xs, indexing=indexing)[at], [(3,), (4,)])  # fmt: skip


INDEX = np.array([[0, 1, 0], [2, 0, 1]])


def test_gathers_agree() -> None:
    index = torch.tensor(INDEX)
    _same((4, 5), lambda x: x.gather(0, INDEX), lambda x: x.gather(0, index))
    _same((4, 5), lambda x: x.gather(1, INDEX), lambda x: x.gather(1, index))
    _same((2, 5), lambda x: x.take_along_dim(INDEX[:, :1], 1), lambda x: x.take_along_dim(index[:, :1], 1))
    _same((1, 5), lambda x: x.take_along_dim(INDEX, 1), lambda x: x.take_along_dim(index, 1))
    _same((4, 5), lambda x: x.take_along_dim(INDEX), lambda x: x.take_along_dim(index))
    _same((4, 5), lambda x: x.index_select(1, INDEX[0]), lambda x: x.index_select(1, index[0]))


def test_scatters_agree() -> None:
    index = torch.tensor(INDEX)
    for shape in [(4, 3), (4, 5)]:
        _same(shape, lambda x, s: x.scatter_add(0, INDEX, s), lambda x, s: x.scatter_add(0, index, s), [(2, 3)])
        _same(shape, lambda x, s: x.scatter(0, INDEX, s), lambda x, s: x.scatter(0, index, s), [(2, 3)])
        for how in ("sum", "prod", "amax", "amin"):
            _same(shape, lambda x, s, how=how: x.scatter_reduce(0, INDEX, s, how),
                  lambda x, s, how=how: x.scatter_reduce(0, index, s, how), [(2, 3)])  # fmt: skip
    _same((4, 5), lambda x: x.scatter(0, INDEX, 1.5), lambda x: x.scatter(0, index, 1.5))
    _same((4, 5), lambda x, s: x.index_add(1, INDEX[0], s, alpha=2),
          lambda x, s: x.index_add(1, index[0], s, alpha=2), [(4, 3)])  # fmt: skip
    _same((4, 5), lambda x, s: x.index_copy(1, INDEX[1], s), lambda x, s: x.index_copy(1, index[1], s), [(4, 3)])
    _same((4, 5), lambda x: x.index_fill(1, INDEX[0], -2.0), lambda x: x.index_fill(1, index[0], -2.0))


def test_masks_agree() -> None:
    mask = np.arange(5) % 2 == 0
    _same((4, 5), lambda x: x.masked_fill(mask, 2.5), lambda x: x.masked_fill(torch.tensor(mask), 2.5))
    _same((4, 5), lambda x: x.masked_select(mask), lambda x: x.masked_select(torch.tensor(mask)))


def test_creation_agrees() -> None:
    for mine, theirs in [
        (neurenix.arange(5), torch.arange(5)), (neurenix.arange(1, 2, 0.25), torch.arange(1, 2, 0.25)),
        (neurenix.linspace(0, 1, 7), torch.linspace(0, 1, 7)), (neurenix.eye(3, 4), torch.eye(3, 4)),
        (neurenix.full((2, 3), 7), torch.full((2, 3), 7)), (neurenix.zeros(2, 3), torch.zeros(2, 3)),
        (neurenix.ones((2, 3), dtype="int32"), torch.ones((2, 3), dtype=torch.int32)),
        (Tensor(INDEX).one_hot(3), torch.nn.functional.one_hot(torch.tensor(INDEX), 3)),
    ]:  # fmt: skip
        assert theirs.numpy().dtype == mine.numpy().dtype
        np.testing.assert_allclose(theirs.numpy(), mine.numpy(), rtol=1e-6)


MODES = [
    *((mode, align, anti) for mode in ("bilinear", "bicubic") for align in (False, True) for anti in (False, True)),
    ("nearest", None, False), ("nearest-exact", None, False), ("area", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "align", "antialias"), MODES)
@pytest.mark.parametrize(
    "how",
    [{"size": (9, 4)}, {"size": (3, 13)}, {"size": 5}, {"scale_factor": 2}, {"scale_factor": (0.6, 1.7)}],
    ids=str,
)
def test_interpolate_agrees(mode: str, align: bool | None, antialias: bool, how: dict[str, Any]) -> None:
    options = {"mode": mode, "antialias": antialias, **how} | ({} if align is None else {"align_corners": align})
    _same((2, 3, 5, 7), lambda x: x.interpolate(**options), lambda x: torch.nn.functional.interpolate(x, **options))


@pytest.mark.parametrize(("mode", "shape"), [("linear", (2, 3, 7)), ("trilinear", (1, 2, 3, 4, 5))])
@pytest.mark.parametrize("align", [False, True])
def test_interpolate_agrees_in_one_and_three_dimensions(mode: str, shape: tuple[int, ...], align: bool) -> None:
    how: dict[str, Any]
    for how in ({"size": (6, 3, 9)[: len(shape) - 2]}, {"scale_factor": 1.5}):
        ours, theirs = partial(Tensor.interpolate, **how), partial(torch.nn.functional.interpolate, **how)
        _same(shape, partial(ours, mode=mode, align_corners=align), partial(theirs, mode=mode, align_corners=align))
