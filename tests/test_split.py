"""A product that is only read in pieces becomes a product for each piece; one that is read whole stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_cases import Array, assert_close, reference
from tracing import traced

from neurenix.compiler import passes
from neurenix.graph.graph import Graph
from neurenix.tensor import Tensor

RNG = np.random.default_rng(7)
Made = Callable[[Tensor], Any]
IMAGE, ROWS = "float32[2, 6, 9, 8]", "float32[n, 5, 24]"


def _weight(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def _checked(made: Made, spec: str) -> list[str]:
    """Return the ops of the finished graph, which gives the answers of the traced one."""
    graph: Graph = traced(made, {"x": spec}, {"n": (1, 4)} if "n" in spec else None)
    dims = {"n": 3} if "n" in spec else {}
    shape = [dims.get(str(size), size) for size in graph.values["x"].shape]
    feeds = {"x": np.random.default_rng(0).standard_normal([int(str(s)) for s in shape]).astype(np.float32)}
    finished = passes.run(graph)
    answers = reference(finished, feeds, dims)
    for name, wanted in reference(graph, feeds, dims).items():
        assert_close(wanted, answers[name], 1e-4, name)
    return [node.op for node in finished.nodes]


def _attended(x: Tensor) -> Any:
    q, k, v = (x @ _weight(24, 96) + _weight(96)).chunk(3, -1)
    return (q @ k.transpose(-1, -2)).softmax(-1) @ v


def _parts(x: Tensor) -> Any:
    made = x.conv2d(_weight(70, 6, 3, 3), _weight(70), 2).relu()
    return {"first": made[:, :35].exp(), "second": made[:, 35:]}


def _magnitude(x: Tensor) -> Any:
    made = x.reshape((2, 6, 72)).conv1d(_weight(66, 6, 5), None, 2)
    return (made[:, :33] ** 2 + made[:, 33:] ** 2).sqrt()


def _scaled(x: Tensor) -> Any:
    made = (x @ _weight(24, 80) * 0.5 + _weight(1, 1, 80)).sigmoid()
    return {"first": made[:, :, 8:48] * 2, "last": made[..., 48:]}


SPLITTING: dict[str, tuple[Made, str]] = {
    "queries, keys and values": (_attended, ROWS),
    "halves of channels": (_parts, IMAGE),
    "real and imaginary parts of sequences": (_magnitude, IMAGE),
    "behind elementwise ops, some channels for nobody": (_scaled, ROWS),
}


@pytest.mark.parametrize(("made", "spec"), SPLITTING.values(), ids=SPLITTING)
def test_a_product_read_in_pieces_is_cut(made: Made, spec: str) -> None:
    assert "slice" not in _checked(made, spec)


def _whole_too(x: Tensor) -> Any:
    made = x @ _weight(24, 96)
    return {"part": made[..., :48], "whole": made.sum(-1)}


def _overlapping(x: Tensor) -> Any:
    made = x @ _weight(24, 96)
    return {"part": made[..., :48], "other": made[..., 32:]}


STAYING: dict[str, tuple[Made, str]] = {
    "read whole too": (_whole_too, ROWS),
    "an output too": (lambda x: {"whole": (y := x @ _weight(24, 96)), "part": y[..., :48]}, ROWS),
    "pieces that share channels": (_overlapping, ROWS),
    "narrow pieces": (lambda x: dict(zip("abc", (x @ _weight(24, 24)).chunk(3, -1))), ROWS),
    "every other channel": (lambda x: (x @ _weight(24, 96))[..., ::2], ROWS),
    "rows": (lambda x: (x @ _weight(24, 96))[:, :2], ROWS),
    "groups": (lambda x: x.conv2d(_weight(80, 3, 1, 1), groups=2)[:, :40], IMAGE),
    "another for each row": (lambda x: (x @ _weight(24, 96) + x.sum(-1, keepdim=True))[..., :48], ROWS),
}


@pytest.mark.parametrize(("made", "spec"), STAYING.values(), ids=STAYING)
def test_other_slices_stay(made: Made, spec: str) -> None:
    assert "slice" in _checked(made, spec)
