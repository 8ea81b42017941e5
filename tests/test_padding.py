"""A pad before windows becomes their padding, where it counts nothing in them; everywhere else it stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from gpu_cases import printed
from hypothesis import given
from hypothesis import strategies as st
from op_cases import NATIVE, WASM, Array, assert_close, reference, run_forms
from tracing import traced

from neurenix.compiler import passes
from neurenix.graph.graph import Graph
from neurenix.phynexus.webgpu import WebGPUEngine
from neurenix.tensor import Tensor

RNG = np.random.default_rng(5)
Made = Callable[[Tensor], Any]
LEAST = float("-inf")


def _weight(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def _graph(made: Made, spec: str = "float32[2, 4, 9, 8]") -> Graph:
    return traced(made, {"x": spec})


def _feeds(graph: Graph) -> dict[str, Array]:
    shape: Any = graph.values["x"].shape
    return {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}


def _hold(graph: Graph, answers: Mapping[str, Array], what: str) -> None:
    for name, wanted in reference(graph, _feeds(graph)).items():
        assert_close(wanted, answers[name], 1e-4, f"{name} on {what}")


def _pads(graph: Graph) -> int:
    return sum(node.op in ("pad", "place") for node in graph.nodes)


# ── what folds ──────────────────────────────────────────────────────────────────────────────────────

KINDS = ("conv2d", "groups", "depthwise", "unknown weight", "max_pool2d", "avg_pool2d", "summed")


@st.composite
def _padded_windows(draw: st.DrawFn) -> Made:
    """Draw windows of every kind and shape behind a pad of up to three elements on each side; -1 cuts one off."""
    kind, sides = draw(st.sampled_from(KINDS)), draw(st.tuples(*[st.integers(-1, 3)] * 4))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    own = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    if "pool" in kind or kind == "summed":  # windows that hold something
        kernel = (kernel[0] + max(sides[2:]), kernel[1] + max(sides[:2]))
        own = (0, 0)
    groups = {"groups": 2, "depthwise": 4}.get(kind, 1)
    weight, last = _weight(4, 4 // groups, *kernel), draw(st.booleans())

    def made(x: Tensor) -> Any:
        value = LEAST if kind == "max_pool2d" else 0.0
        if last:  # padded where the channels are last, as TensorFlow has them
            image = x.permute(0, 2, 3, 1).pad((0, 0, *sides), value=value).permute(0, 3, 1, 2)
        else:
            image = x.pad(sides, value=value)
        if kind == "max_pool2d":
            return image.max_pool2d(kernel, stride, own, dilation)
        if kind in ("avg_pool2d", "summed"):
            return image.avg_pool2d(kernel, stride, own, divisor_override=1 if kind == "summed" else None)
        by = x[:1, :1, :1, :1] * 0 + weight if kind == "unknown weight" else weight
        return image.conv2d(by, None, stride, own, dilation, groups)

    return made


@given(_padded_windows())
def test_a_pad_before_windows_becomes_their_padding(made: Made) -> None:
    graph = _graph(made)
    folded = passes.run(graph)
    assert 0 == _pads(folded)
    _hold(graph, reference(folded, _feeds(graph)), "the reference")


FOLDING: dict[str, Made] = {
    "a convolution": lambda x: x.pad((0, 1, 0, 1)).conv2d(_weight(5, 4, 3, 3), None, 2),
    "with a padding of its own": lambda x: x.pad((2, 1, 0, 1)).conv2d(_weight(5, 4, 3, 3), _weight(5), 1, (1, 2)),
    "two readers": lambda x: sum(
        (made.sum() for made in map(x.pad((0, 1, 2, 0)).conv2d, (_weight(5, 4, 3, 3), _weight(2, 4, 2, 1)))),
        x.sum(),
    ),
    "two pads": lambda x: x.pad((0, 1)).pad((0, 0, 1, 2)).conv2d(_weight(5, 4, 3, 3)),
    "one pixel": lambda x: x.pad((0, 0, 0, 1)).conv2d(_weight(5, 4, 1, 1)),
    "channels last": lambda x: x.permute(0, 2, 3, 1).pad((0, 0, 0, 1, 0, 1)).permute(0, 3, 1, 2).conv2d(
        _weight(5, 4, 3, 3), None, 2
    ),
    "a sequence": lambda x: x.reshape((2, 4, 72)).pad((3, 0)).conv1d(_weight(5, 4, 4), dilation=2),
    "groups": lambda x: x.pad((0, 1, 2, 0)).conv2d(_weight(6, 2, 2, 3), None, 2, groups=2),
    "depthwise": lambda x: x.pad((0, 1, 0, 1)).conv2d(_weight(4, 1, 3, 3), None, 2, groups=4).clip(0, 6),
    "depthwise, dilated": lambda x: x.pad((2, 1, 0, 3)).conv2d(_weight(4, 1, 3, 3), None, 1, 0, 2, 4),
    "windows": lambda x: x.pad((0, 1, 2, 0)).apply("im2col", kernel_size=(2, 3)),
    "the largest": lambda x: x.pad((0, 1, 1, 0), value=LEAST).max_pool2d(3, 2, 1),
    "the largest of no negative": lambda x: x.relu().pad((1, 1, 1, 1)).max_pool2d(3, 2),
    "means": lambda x: x.pad((0, 1, 0, 1)).avg_pool2d(2, 2),
    "means of a border of their own": lambda x: x.pad((0, 1, 2, 0)).avg_pool2d(4, 2, 1),
    "sums": lambda x: x.pad((0, 1, 0, 1)).avg_pool2d(3, 1, 1, count_include_pad=False, divisor_override=1),
}  # fmt: skip


# What pads one side more without a pad.
UNPADDED: dict[str, Made] = {
    "same, of an even kernel": lambda x: x.conv2d(_weight(5, 4, 4, 2), padding="same"),
    "same, of sequences": lambda x: x.reshape((2, 4, 72)).conv1d(_weight(5, 4, 4), padding="same"),
    "means of what lies in the image": lambda x: x.apply(
        "avg_pool2d", kernel_size=(3, 4), stride=(2, 2), padding=(0, 1, 2, 3), count_include_pad=False, ceil_mode=True
    ),
}


def _folding(x: Tensor) -> dict[str, Tensor]:
    return {f"y{at}": made(x * 1.0) for at, made in enumerate([*FOLDING.values(), *UNPADDED.values()])}


@pytest.mark.parametrize("made", FOLDING.values(), ids=FOLDING)
def test_these_plans_pad_nothing(made: Made) -> None:
    graph = _graph(made)
    folded = passes.run(graph)
    assert (True, 0) == (_pads(passes.run(graph, optimize=False)) > 0, _pads(folded))
    _hold(graph, reference(folded, _feeds(graph)), "the reference")


@pytest.mark.parametrize("made", UNPADDED.values(), ids=UNPADDED)
def test_no_pad_is_traced(made: Made) -> None:
    assert 0 == _pads(_graph(made))


@pytest.mark.zig
@pytest.mark.parametrize("forms", [NATIVE, pytest.param(WASM, marks=pytest.mark.wasm)], ids=["native", "wasm"])
def test_kernels_pad_one_side_more_than_the_other(forms: tuple[str, ...]) -> None:
    graph = _graph(_folding)
    for form, (answers,) in run_forms(graph, [(_feeds(graph), {})], forms):
        _hold(graph, answers, form)


@pytest.mark.gpu
def test_shaders_pad_one_side_more_than_the_other() -> None:
    graph = _graph(_folding)
    _hold(graph, WebGPUEngine(*printed(graph)).run(_feeds(graph), {}), "the GPU")


# ── what does not ───────────────────────────────────────────────────────────────────────────────────


def _read_twice(x: Tensor) -> dict[str, Tensor]:
    around = x.pad((0, 1, 0, 1))
    return {"y": around.conv2d(_weight(5, 4, 3, 3)), "also": around.exp()}


def _is_an_output(x: Tensor) -> dict[str, Tensor]:
    around = x.pad((0, 1, 0, 1))
    return {"y": around.conv2d(_weight(5, 4, 3, 3)), "also": around}


STAYING: dict[str, Made] = {
    "another reader": _read_twice,
    "an output": _is_an_output,
    "another value": lambda x: x.pad((0, 1, 0, 1), value=1.0).conv2d(_weight(5, 4, 3, 3)),
    "a value that is computed": lambda x: x.pad((0, 1), value=x.sum()).conv2d(_weight(5, 4, 3, 3)),
    "channels": lambda x: x.pad((0, 1, 0, 0, 0, 1)).conv2d(_weight(5, 5, 3, 3)),
    "images": lambda x: x.pad((0, 0, 0, 0, 0, 0, 1, 0)).conv2d(_weight(5, 4, 3, 3)),
    "spread apart": lambda x: x.apply("pad", x.lift(0), before=(0,) * 4, after=(0,) * 4, steps=(1, 1, 2, 2)).conv2d(
        _weight(5, 4, 3, 3)
    ),
    "zeros among what may be less": lambda x: x.pad((0, 1, 0, 1)).max_pool2d(3, 2),
    "zeros that a window with holes sees alone": lambda x: x.relu()[:, :, :1].pad((1, 1, 1, 1)).max_pool2d(2, 1, 0, 2),
    "a last window that hangs over": lambda x: x.pad((0, 1), value=LEAST).max_pool2d(3, 2, ceil_mode=True),
    "windows of padding alone": lambda x: x.pad((0, 3), value=LEAST).max_pool2d(2),
    "the least among means": lambda x: x.pad((0, 1), value=1.0).avg_pool2d(2),
    "two paddings, of which one counts": lambda x: x.pad((0, 1)).avg_pool2d(3, 1, 1, count_include_pad=False),
    "a linear layer": lambda x: x.pad((0, 1)) @ _weight(9, 3),
}  # fmt: skip


@pytest.mark.parametrize("made", STAYING.values(), ids=STAYING)
def test_a_pad_that_counts_stays(made: Made) -> None:
    graph = _graph(made)
    folded = passes.run(graph)
    assert _pads(folded) > 0
    _hold(graph, reference(folded, _feeds(graph)), "the reference")


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_other_modes_and_what_cuts_off_stay(mode: str) -> None:
    graph = _graph(lambda x: x.pad((1, -1, 2, 0), mode).conv2d(_weight(5, 4, 3, 3)))
    folded = passes.run(graph)
    assert {(0, 0)} == {node.attrs["padding"] for node in folded.nodes if node.op == "conv2d"}
    _hold(graph, reference(folded, _feeds(graph)), mode)
