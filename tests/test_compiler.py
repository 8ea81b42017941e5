"""The printed C, compiled and run: random models, odd sizes, dims at their limits, on every form of this machine."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from op_cases import ABI, FORMS, NATIVE, Case, graph_of, hold
from random_nets import IMAGE, random_net

from neurenix import Tensor, ops
from neurenix import expr as ex
from neurenix.compiler import passes
from neurenix.compiler.names import KernelNames
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.nn import Conv2d, Linear, Module, Sequential
from neurenix.nn.module import Parameter
from neurenix.phynexus.memory import read_inputs
from neurenix.trace import trace

RNG = np.random.default_rng(3)


class Many(Module):
    """Several models of one input, an output each."""

    def __init__(self, *models: Module) -> None:
        super().__init__()
        self.models = Sequential(*models)

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        return {f"y{i}": model(*inputs) for i, model in enumerate(self.models)}


def _array(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "plain"])
@pytest.mark.parametrize("forms", FORMS)
def test_random_models_give_the_references_answers(forms: tuple[str, ...], optimize: bool) -> None:
    model = Many(*(random_net(seed) for seed in range(100, 106)))
    graph = trace(model, {"image": f"float32[batch, {', '.join(map(str, IMAGE))}]"}, {"batch": (1, 4)})
    feeds = [({"image": _array(batch, *IMAGE)}, {"batch": batch}) for batch in (1, 3, 4)]
    hold(graph, feeds, forms, 5e-5, optimize)


def _convolutions() -> list[Case]:
    cases = []
    for c in (1, 3, 5, 17):
        for o in (1, 7, 8, 9, 33):
            rng = np.random.default_rng([c, o])
            kernel = tuple(int(k) for k in rng.integers(1, 4, 2))
            attrs = {
                "stride": tuple(int(v) for v in rng.integers(1, 4, 2)),
                "padding": tuple(int(v) for v in rng.integers(0, 4, int(rng.choice([2, 4])))),
                "dilation": tuple(int(v) for v in rng.integers(1, 4, 2)),
            }
            if (c + o) % 4 == 0:  # pointwise, which has a way of its own
                kernel, attrs = (1, 1), {"padding": (0, 0, 1, 0)} if c == 5 else {}  # but where its end is padded
            x = _array(int(rng.integers(1, 4)), c, *(int(v) for v in rng.integers(7, 13, 2)))
            row = ops.get("conv2d")
            cases.append(Case(row, (x, _array(o, c, *kernel)), row.bind(attrs)))
    return cases


@pytest.mark.parametrize("forms", FORMS)
def test_convolutions_of_odd_sizes(forms: tuple[str, ...]) -> None:
    graph, feeds = graph_of(_convolutions())
    hold(graph, [(feeds, {})], forms, 2e-5)


class Products(Module):
    """x (rows, K) by weights of every width, with epilogues that read a bias, a residual and the product itself."""

    def __init__(self) -> None:
        super().__init__()
        self.widths = [(n, int(RNG.integers(1, 71))) for n in range(1, 34)]
        for i, (n, k) in enumerate(self.widths):
            setattr(self, f"w{i}", Parameter(_array(k, n)))
            setattr(self, f"b{i}", Parameter(_array(n)))

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        x, other = inputs
        outputs = {}
        for i, (n, k) in enumerate(self.widths):
            left = x @ np.eye(70, k, dtype=np.float32)
            y = left @ getattr(self, f"w{i}")
            if i % 4 > 0:
                y = (y + getattr(self, f"b{i}")).relu()
            if i % 4 > 1:
                y = y + other @ np.eye(33, n, dtype=np.float32)
            if i % 4 > 2:
                y = y * y.sigmoid()
            outputs[f"y{i}"] = y
        return outputs


@pytest.mark.parametrize("forms", FORMS)
def test_products_of_every_width_and_number_of_rows(forms: tuple[str, ...]) -> None:
    graph = trace(Products(), {"x": "float32[rows, 70]", "other": "float32[rows, 33]"}, {"rows": (1, 50)})
    feeds = [({"x": _array(m, 70), "other": _array(m, 33)}, {"rows": m}) for m in (*range(1, 14), 47, 48, 49, 50)]
    hold(graph, feeds, forms, 2e-5)


class Broadcasts(Module):
    """What reads operands in other ways than a plain chain does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Linear(6, 9, bias=False)

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        x, shift, column = inputs
        y = self.layer(x)
        return {
            "by_input": y + shift,
            "by_row": y * column,
            "by_both": (y + column) * shift - column * 2,
            "outer": column * shift,
            "constant": Tensor(np.arange(5, dtype=np.float32)),
            "first": x,
            "again": x,
            "turned": x.reshape((-1, 2, 3)).permute((2, 0, 1)),
            "inner": x.reshape((-1, 2, 3)).softmax(1),
            "filled": x * 0 + np.float32(2) * np.ones((1, 6), np.float32),
            "masked": x.map((ex.operand(0) < 0.5) * 2 + ex.where(ex.operand(0) - 1, 1, ex.operand(0))),
            "mask": x.map(ex.operand(0) < 0.5),
            "clamped": x.maximum(float("-inf")).minimum(float("inf")),
        }


@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "plain"])
@pytest.mark.parametrize("forms", FORMS)
def test_operands_that_broadcast_or_are_not_constant(forms: tuple[str, ...], optimize: bool) -> None:
    spec = {"x": "float32[int, 6]", "shift": "float32[9]", "column": "float32[int, 1]"}  # a dim with a name of C's own
    graph = trace(Broadcasts(), spec, {"int": (1, 9)})
    feeds = [({"x": _array(n, 6), "shift": _array(9), "column": _array(n, 1)}, {"int": n}) for n in (1, 2, 9)]
    hold(graph, feeds, forms, optimize=optimize)


@pytest.mark.zig
def test_images_of_any_size_within_their_dims() -> None:
    spec = {"image": "float32[batch, 3, height, width]"}
    dims = {"batch": (1, 3), "height": (5, 20), "width": (7, 16)}
    model = Sequential(*(layer for layer in (Conv2d(3, 7, 3, 2, 1), Conv2d(7, 4, (3, 1), dilation=(1, 2), padding=1))))
    graph = trace(model, spec, dims)
    sizes = [(1, 5, 7), (3, 20, 16), (2, 11, 9)]
    feeds = [({"image": _array(b, 3, h, w)}, {"batch": b, "height": h, "width": w}) for b, h, w in sizes]
    hold(graph, feeds, NATIVE)


@pytest.mark.zig
def test_the_same_model_is_printed_alike_twice_and_shares_its_kernels() -> None:
    model = Sequential(*(layer for _ in range(3) for layer in (Conv2d(8, 8, 3, padding=1), *_relu())))
    sources = []
    for _ in range(2):
        plan, _ = schedule(passes.run(trace(model, {"x": "float32[batch, 8, 6, 6]"})))
        sources.append(print_c(plan, ABI))
    assert sources[0] == sources[1]
    assert 1 == sources[0].count('#include "conv2d.c"')  # one function for three layers
    assert 3 == len(re.findall(r"^  nx_conv2d\w*\(part", sources[0], re.MULTILINE))


def _relu() -> list[Module]:
    from neurenix.nn import ReLU

    return [ReLU()]


def test_comments_of_the_source_cannot_be_left() -> None:
    class Odd(Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            return inputs[0].relu()

    Odd.__name__ = "Odd\n#error */ \\"
    plan, _ = schedule(passes.run(trace(Odd(), {"x": "float32[2]"})))
    assert all(not line.startswith("#error") and not line.endswith("\\") for line in print_c(plan, ABI).splitlines())


def test_one_function_has_one_name() -> None:
    names, node = KernelNames(), passes.run(trace(Linear(2, 3))).nodes[0]
    first = names.of(node, "matmul.c", ("pad8",))
    assert "nx_matmul_add" == first == names.of(node, "matmul.c", ("pad8",))
    assert "nx_matmul_add_2" == names.of(node, "matmul.c", ("rows",))


def test_feeds_are_read_by_the_signature() -> None:
    plan, _ = schedule(passes.run(trace(Linear(2, 3))))
    arrays, dims = read_inputs(plan, [[1.0, 2.0], [3.0, 4.0]])
    assert ({"batch": 2}, (2, 2), "float32") == (dims, arrays["input"].shape, arrays["input"].dtype.name)
