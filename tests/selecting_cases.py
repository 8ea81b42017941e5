"""Models that select by data, beside what NumPy does: the table of the tests of lengths, and inputs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix.graph.graph import Graph
from neurenix.nn import Module
from neurenix.tensor import cat
from neurenix.tensor.selecting import compress, nonzero, sizes, unique
from neurenix.trace import trace

Array = np.ndarray[Any, Any]


class Model(Module):
    def __init__(self, forward: Callable[..., Any]) -> None:
        super().__init__()
        self._forward = forward

    def forward(self, *inputs: Tensor) -> Any:
        return self._forward(*inputs)


def traced(forward: Callable[..., Any], inputs: Mapping[str, Any], dims: Any = None) -> Graph:
    return trace(Model(forward), inputs, dims)


def matrix(seed: int, shape: tuple[int, ...] = (5, 7), share: float = 0.4) -> Array:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.standard_normal(shape), 0).astype(np.float32)


def unique_of(x: Array, sorted: bool, dim: int | None) -> list[Array]:
    """NumPy's answer; in the order of first appearance where it is not sorted."""
    found, indices, inverse, counts = np.unique(x, True, True, True, axis=dim)
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(indices)
        found, indices, counts = found.take(order, 0 if dim is None else dim), indices[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [found, indices, inverse, counts]


def boxes(seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    scores = rng.random((2, 3, 40)) if seed % 2 else rng.integers(0, 6, (2, 3, 40)) / 5
    return {"boxes": rng.random((2, 40, 4), dtype=np.float32), "scores": scores.astype(np.float32)}


Case = tuple[Callable[..., Any], Callable[..., Any]]

# What a traced model computes of x [n, 7], and what NumPy does.
MODELS: dict[str, Case] = {
    "places": (nonzero, lambda x: np.stack(np.nonzero(x))),
    "places by row": (lambda x: nonzero(x).permute(1, 0), lambda x: np.argwhere(x)),
    "selected": (lambda x: compress(x, x > 0.5), lambda x: x[x > 0.5]),
    "rows": (lambda x: compress(x, x.sum(1) > 0, 0), lambda x: x[x.sum(1) > 0]),
    "columns": (lambda x: compress(x, x[0] != 0, 1), lambda x: x[:, x[0] != 0]),
    "different": (lambda x: unique(x).values, lambda x: np.unique(x)),
    "as they appear": (
        lambda x: list(unique((x * 3).round(), False)),
        lambda x: unique_of(np.round(x * 3), False, None),
    ),
    "of what was selected": (
        lambda x: list(unique(compress((x * 3).round(), x > 0), True)),
        lambda x: unique_of(np.round(x * 3)[x > 0], True, None),
    ),
    "places of what was selected": (
        lambda x: nonzero(compress(x, x > -0.5)),
        lambda x: np.stack(np.nonzero(x[x > -0.5])),
    ),
    "sum": (lambda x: compress(x, x > 0.5).sum(), lambda x: x[x > 0.5].sum()),
    "mean of rows": (lambda x: compress(x, x[:, 0] != 0, 0).mean(0), lambda x: x[x[:, 0] != 0].mean(0)),
    "mean of all": (lambda x: compress(x, x[:, 0] != 0, 0).mean(), lambda x: x[x[:, 0] != 0].mean()),
    "deviation": (lambda x: compress(x, x != 0).std(), lambda x: np.std(x[x != 0], ddof=1)),
    "largest": (lambda x: compress(x, x < 0).amax(), lambda x: x[x < 0].max()),
    "smallest": (lambda x: compress(x, x > 0).amin(), lambda x: x[x > 0].min()),
    "where the largest is": (lambda x: compress(x, x < 0).argmax(0), lambda x: x[x < 0].argmax()),
    "product": (lambda x: compress(x, x != 0).prod(), lambda x: x[x != 0].prod()),
    "all of them": (lambda x: (compress(x, x > 0) > 0).all(), lambda x: np.asarray(True)),
    "sorted": (lambda x: compress(x, x != 0).sort(descending=True).values, lambda x: np.sort(x[x != 0])[::-1]),
    "softmax": (
        lambda x: compress(x, x != 0).softmax(0),
        lambda x: np.exp(x[x != 0]) / np.exp(x[x != 0]).sum(),
    ),
    "running sum": (lambda x: compress(x, x != 0).cumsum(0), lambda x: np.cumsum(x[x != 0])),
    "from behind": (
        lambda x: compress(x, x != 0).apply("cumsum", axis=0, reverse=True),
        lambda x: np.cumsum(x[x != 0][::-1])[::-1],
    ),
    "the last": (
        lambda x: compress(x, x != 0).index_select(0, nonzero(x)[0] * 0 - 1),
        lambda x: x[x != 0][-1:].repeat((x != 0).sum()),
    ),
    "the first few": (lambda x: compress(x, x != 0)[2:5], lambda x: x[x != 0][2:5]),
    "flattened": (lambda x: compress(x, x[:, 0] != 0, 0).reshape(-1), lambda x: x[x[:, 0] != 0].reshape(-1)),
    "behind others": (lambda x: cat([x[0], compress(x, x > 0)]), lambda x: np.concatenate([x[0], x[x > 0]])),
    "products of rows": (
        lambda x: compress(x, x[:, 0] != 0, 0) @ x.permute(1, 0),
        lambda x: x[x[:, 0] != 0] @ x.T,
    ),
    "products over what was selected": (
        lambda x: compress(x, x[:, 0] != 0, 0).permute(1, 0) @ compress(x, x[:, 0] != 0, 0),
        lambda x: x[x[:, 0] != 0].T @ x[x[:, 0] != 0],
    ),
    "gathered": (lambda x: x.apply("gather_nd", nonzero(x).permute(1, 0)), lambda x: x[x != 0]),
    "written": (
        lambda x: (x * 0).apply("scatter_nd", nonzero(x).permute(1, 0), compress(x, x != 0) * 2),
        lambda x: x * 2,
    ),
    "norm": (lambda x: compress(x, x > 0).norm(), lambda x: np.sqrt((x[x > 0] ** 2).sum())),
    "any": (lambda x: (compress(x, x > 0) > 1).any(), lambda x: np.asarray((x[x > 0] > 1).any())),
    "where the smallest is": (lambda x: compress(x, x > 0).argmin(0), lambda x: x[x > 0].argmin()),
    "every row sorted": (
        lambda x: compress(x, x[:, 0] != 0, 0).sort(1).values,
        lambda x: np.sort(x[x[:, 0] != 0], 1),
    ),
    "few sorted": (lambda x: compress(x, x > 0).topk(3).values, lambda x: np.sort(x[x > 0])[::-1][:3]),
    "columns sorted": (
        lambda x: compress(x, x[:, 0] != 0, 0).sort(0).values,
        lambda x: np.sort(x[x[:, 0] != 0], 0),
    ),
    "products one by one": (
        lambda x: compress(x, x[:, 0] != 0, 0).unsqueeze(1) @ compress(x, x[:, 0] != 0, 0).unsqueeze(2),
        lambda x: (x[x[:, 0] != 0] ** 2).sum(1).reshape(-1, 1, 1),
    ),
    "windows of each": (
        lambda x: compress(x, x[:, 0] != 0, 0).unsqueeze(1).unsqueeze(1).max_pool2d((1, 7)),
        lambda x: x[x[:, 0] != 0].max(1).reshape(-1, 1, 1, 1),
    ),
    "variances": (
        lambda x: compress(x, x[:, 0] != 0, 0).var(0, correction=0),
        lambda x: np.var(x[x[:, 0] != 0], 0),
    ),
    "shares of each row": (
        lambda x: compress(x, x[:, 0] != 0, 0).log_softmax(1).exp().sum(1).round(),
        lambda x: np.ones((x[:, 0] != 0).sum()),
    ),
    "one condition twice": (lambda x: compress(x, x > 0.5) * compress(x, x > 0.5), lambda x: x[x > 0.5] ** 2),
    "size": (lambda x: sizes(nonzero(x)), lambda x: np.array([2, (x != 0).sum()])),
}  # fmt: skip

INPUTS = {"x": "float32[n, 7]"}
DIMS = {"n": (1, 6)}


def as_list(result: Any) -> list[Any]:
    return result if isinstance(result, list) else [result]


def feeds_of(*seeds: int) -> list[tuple[dict[str, Array], dict[str, int]]]:
    return [
        ({"x": matrix(seed, (1 + seed % 6, 7), share)}, {"n": 1 + seed % 6})
        for seed, share in zip(seeds, (0.4, 0.8, 1))
    ]


def hold(expected: Any, actual: Mapping[str, Array], what: str) -> None:
    assert len(as_list(expected)) == len(actual)
    for wanted, got in zip(as_list(expected), actual.values()):
        assert np.shape(wanted) == got.shape, what
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=what)
