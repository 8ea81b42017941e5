"""Reductions, scans and sorting where the op table cannot say it: error bounds, symbolic axes, passes, gradients."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, Case, answers_of, assert_close, graph_of, run_forms

from neurenix import autograd, ops
from neurenix.bundle.description import describe, read_plan
from neurenix.compiler import passes
from neurenix.compiler.passes.lower import lower
from neurenix.compiler.schedule import schedule
from neurenix.errors import BundleError, GraphError
from neurenix.graph.graph import Graph
from neurenix.nn import Conv2d, Module
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import Tensor
from neurenix.trace import trace

Array = np.ndarray[Any, Any]
_RARE = (0.3, 0.3, 0.3, 0.07, 0.01, 0.01, 0.01)  # how often each of some values is drawn


class Function(Module):
    """A model that is a function."""

    def __init__(self, function: Callable[[Tensor], Any], **parts: Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def _traced(function: Callable[[Tensor], Any], spec: str) -> Graph:
    return trace(Function(function), {"x": spec}, {"n": (1, 400)} if "n" in spec.partition("[")[2] else None)


def _ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


# ── accuracy ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("forms", FORMS)
def test_compiled_sums_of_a_million_keep_the_bound_that_reduce_c_states(forms: tuple[str, ...]) -> None:
    n = 1_000_000
    x = np.random.default_rng(0).uniform(0.5, 1, n).astype(np.float32)
    row = ops.get("sum")
    shapes = ((n,), (n // 3, 3), (n // 40, 40))
    cases = [Case(row, (x[: np.prod(s)].reshape(s),), row.bind({"axes": (0,)})) for s in shapes]
    graph, feeds = graph_of(cases)
    for form, (answers,) in run_forms(graph, [(feeds, {})], forms):
        for at, case in enumerate(cases):
            exact = case.arrays[0].astype(np.float64).sum(0)
            count = case.arrays[0].shape[0]
            bound = (32 + 2 * np.log2(count) + 16) * 2.0**-24 * exact
            assert (np.abs(answers[f"y{at}"] - exact) <= bound).all(), f"{case.arrays[0].shape} on {form}"


@pytest.mark.parametrize("forms", FORMS)
def test_reductions_pass_nan_and_infinity_on(forms: tuple[str, ...]) -> None:
    names = ("sum", "mean", "prod", "max", "min", "any", "all", "l1_norm", "l2_norm", "sum_square", "argmax", "argmin",
             "cumsum", "cumprod", "argsort")  # fmt: skip
    cases = []
    for seed, name in enumerate(names):
        rng, row = np.random.default_rng(seed), ops.get(name)
        for shape in ((7, 67), (67, 7)):
            x = rng.choice(np.array([1, -1, 0.5, 0, np.inf, -np.inf, np.nan], np.float32), shape, p=_RARE)
            axis = {"axis": 1} if "axis" in row.attrs else {"axes": (0,)}
            cases.append(Case(row, (x,), row.bind(axis)))
    for case, form, wanted, answer in answers_of(cases, forms):
        assert_close(wanted, answer, 1e-5, f"{case.row.name} on {form}")


def test_eager_sums_over_narrow_rows_lose_nothing() -> None:
    rng = np.random.default_rng(1)
    for shape, axes in (((40_000, 3), (0,)), ((50, 701, 7), (0, 1)), ((33_000, 1, 64), (0,)), ((20_001, 5, 4), (0,))):
        x = rng.standard_normal(shape).astype(np.float32)
        for keepdims in (False, True):
            expected = x.astype(np.float64).sum(axes, keepdims=keepdims)
            np.testing.assert_allclose(expected, Tensor(x).sum(axes, keepdims).numpy(), rtol=1e-5, atol=1e-3)
            np.testing.assert_allclose(expected * (expected.size / x.size), Tensor(x).mean(axes, keepdims).numpy(),
                                       rtol=1e-5, atol=1e-6)  # fmt: skip


# ── symbolic axes ───────────────────────────────────────────────────────────────────────────────────


def _everything(x: Tensor) -> dict[str, Tensor]:
    top = x.topk(1, 1)
    return {
        "mean": x.mean(1), "mean_all": x.mean(), "var": x.var((0, 1)), "std": x.std(1, keepdim=True),
        "apart": x.sum((0, 2)), "largest": x.max(1).values, "where": x.max(1).indices, "first": x.argmin(1),
        "sorted": x.sort(1, descending=True).values, "running": x.cumsum(1), "lse": x.logsumexp(1),
        "count": (x.relu()).count_nonzero(1), "some": x.any(1), "every": x.all((0, 1, 2)), "top": top.values,
        "norm": x.norm(dim=(0, 2)), "low": x.min(1, keepdim=True).values,
        "median": x.median(1).values, "median_at": x.median(1).indices, "median_all": x.median(),
        "lowest": x.kthvalue(1, 1).values, "quartiles": x.quantile((0.25, 0.75), 2),
    }  # fmt: skip


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("forms", FORMS)
def test_reductions_over_symbolic_axes_compile(forms: tuple[str, ...], optimize: bool) -> None:
    graph = _traced(_everything, "float32[3, n, 5]")
    rng = np.random.default_rng(4)
    feeds = [({"x": rng.standard_normal((3, n, 5)).astype(np.float32)}, {"n": n}) for n in (1, 2, 63, 400)]
    for form, answers in run_forms(graph, feeds, forms, optimize):
        for (arrays, dims), found in zip(feeds, answers):
            expected = run_graph(graph, arrays, dims, "float64")
            for name, value in expected.items():
                assert_close(value, found[name], 2e-5, f"{name}, n = {dims['n']}, on {form}")


def test_eager_answers_equal_the_graphs() -> None:
    graph = _traced(_everything, "float32[3, n, 5]")
    x = np.random.default_rng(5).standard_normal((3, 9, 5)).astype(np.float32)
    expected = run_graph(graph, {"x": x}, {"n": 9}, "float64")
    for name, tensor in _everything(Tensor(x)).items():
        assert_close(expected[name], tensor.numpy(), 2e-5, name)


# ── passes ──────────────────────────────────────────────────────────────────────────────────────────


def test_axes_that_lie_apart_are_reduced_one_group_at_a_time() -> None:
    graph = lower(_traced(lambda x: x.sum((0, 2, 4)), "float32[2, 3, 4, 5, 6]"))
    assert ["sum", "sum", "sum"] == _ops(graph)
    graph = lower(_traced(lambda x: x.norm(1, (0, 2)), "float32[2, 3, 4]"))
    assert ["l1_norm", "sum"] == _ops(graph)
    graph = lower(_traced(lambda x: x.amax((0, 2)), "float32[2, 1, 4]"))
    assert ["max"] == _ops(graph), "an axis of size 1 keeps nothing apart"


def test_the_mean_over_an_image_reads_it_as_the_convolution_wrote_it() -> None:
    model = Function(lambda x: model.conv(x).relu().mean((2, 3)), conv=Conv2d(3, 8, 3))
    graph = trace(model, {"x": "float32[batch, 3, 8, 8]"}, {"batch": (1, 4)})
    nodes = passes.run(graph).nodes
    assert ("conv2d", "mean") == (nodes[-2].op, nodes[-1].op)
    assert (1, 2) == tuple(nodes[-1].attrs["axes"])


def test_a_permutation_that_changes_the_order_of_what_is_left_stays() -> None:
    graph = passes.run(_traced(lambda x: x.permute((2, 0, 1)).sum(1), "float32[3, 4, 5]"))
    assert ["permute", "sum"] == _ops(graph)
    feeds = {"x": np.arange(60, dtype=np.float32).reshape(3, 4, 5)}
    assert (feeds["x"].transpose(2, 0, 1).sum(1) == run_graph(graph, feeds, {})["output"]).all()


# ── gradients ───────────────────────────────────────────────────────────────────────────────────────

TWICE: dict[str, Callable[[Tensor], Tensor]] = {
    "prod": lambda x: x.prod((0, 2)),
    "cumprod": lambda x: x.cumprod(1),
    "exclusive cumprod": lambda x: x.apply("cumprod", axis=2, exclusive=True, reverse=True),
    "linear_scan": lambda x: x.apply("linear_scan", x * x, axis=1),
    "late linear_scan": lambda x: x.apply("linear_scan", x * x, axis=1, late=True, reverse=True),
    "exclusive linear_scan": lambda x: x.apply("linear_scan", x * x, axis=2, exclusive=True),
    "l2_norm": lambda x: x.norm(dim=1),
    "std": lambda x: x.std((0, 1)),
    "mean": lambda x: (x * x).mean((0, 2)),
    "sum_square": lambda x: x.apply("sum_square", axes=(1,)),
    "logsumexp": lambda x: x.logsumexp(1),
    "topk": lambda x: (x * x).topk(2).values,
    "median": lambda x: (x * x).median(1).values,
    "quantile": lambda x: (x * x).quantile(0.4, 1),
}


@pytest.mark.parametrize("name", TWICE)
def test_second_gradients_equal_differences_of_first_ones_at_zeros_too(name: str) -> None:
    rng = np.random.default_rng(6)
    at, along = rng.uniform(0.5, 1.5, (3, 4, 2)), rng.standard_normal((3, 4, 2))
    if "prod" in name:
        at[0, 1:3, 0] = 0
    other = rng.standard_normal((3, 4, 2))

    def slope(array: Array) -> tuple[Tensor, Tensor]:
        x = Tensor(array, requires_grad=True)
        y = TWICE[name](x)
        weight = Tensor(np.random.default_rng(7).standard_normal(y.shape))
        (first,) = autograd.grad((y * weight).sum(), x, create_graph=True)
        assert first is not None
        return (first * Tensor(other)).sum(), x

    total, x = slope(at)
    (second,) = autograd.grad(total, x)
    assert second is not None
    step = 1e-5
    up, down = (slope(at + sign * step * along)[0].item() for sign in (1, -1))
    assert (up - down) / (2 * step) == pytest.approx(float((second.numpy() * along).sum()), rel=1e-5, abs=1e-7)


def test_the_largest_along_an_axis_passes_its_gradient_to_the_first_of_equal_ones() -> None:
    x = Tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 0.0]], requires_grad=True)
    x.max(1).values.sum().backward()
    assert x.grad is not None and [[0, 1, 0], [1, 0, 0]] == x.grad.tolist()


def test_no_gradient_is_nan_where_a_deviation_or_a_norm_is_zero() -> None:
    x = Tensor([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]], requires_grad=True)
    (x.std(1).sum() + (x * 0).norm()).backward()
    assert x.grad is not None and [[0, 0, 0], [0, 0, 0]] == x.grad.tolist()


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.topk(4), r"topk cannot take 4 elements along axis -1 of 3"),
        (lambda x: x.topk(-1, 0), r"topk cannot take -1"),
        (lambda x: x.kthvalue(0), r"kthvalue cannot take the element 0 of an axis of 3"),
        (lambda x: x.kthvalue(3, 0), r"kthvalue cannot take the element 3 of an axis of 2"),
        (lambda x: Tensor(np.ones((2, 0))).median(1), r"nothing is in the middle of none: \[2, 0\]"),
        (lambda x: x.quantile(1.5), r"a share from 0 to 1, or a list of them, not 1.5"),
        (lambda x: x.quantile(0.5, 0, interpolation="cubic"), r"no interpolation 'cubic'; there are linear, lower"),
        (lambda x: Tensor(np.ones((2, 0))).quantile(0.5), r"quantile along an axis of '0'"),
        (lambda x: x.norm("nuc"), r"no norm 'nuc'"),
        (lambda x: x.var(correction=0.5), r"op 'mean': correction is 0.5"),
        (lambda x: x.cumsum(2), r"op 'cumsum': axis 2"),
        (lambda x: x.apply("cumsum", axis=0, exclusive="1) evil()"), r"exclusive is '1\) evil"),
        (lambda x: x.apply("linear_scan", x, axis=0, exclusive=True, late=True), "both exclusive and late"),
        (lambda x: Tensor(np.ones((0, 3))).max(0), r"op 'argmax'.*empty"),
        (lambda x: x.cast("int64").apply("mean"), r"op 'mean': .*floats, got int64"),
    ],
)
def test_calls_that_cannot_be_answered_are_named(call: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        call(Tensor(np.ones((2, 3), np.float32)))


def test_kernels_of_different_reductions_are_different_functions() -> None:
    graph = passes.run(
        _traced(lambda x: {"a": x.sum(1), "b": x.sum(0), "c": x.amax(1), "d": x.cumsum(0), "e": x.var(1)},
                "float32[4, 5]")
    )  # fmt: skip
    plan, _ = schedule(graph)
    by_source = {step.output: step.kernel for step in plan.steps}
    assert by_source["a"] == by_source["b"]
    assert 4 == len({by_source[name] for name in "acde"})


def _step(data: Any, op: str) -> Any:
    return next(s for s in data["plan"]["steps"] if s["op"] == op)


ATTACKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another dtype": (lambda d: d["plan"]["buffers"][0].update(dtype="int32"), "which is int32, and makes int64"),
    "code in a flag": (
        lambda d: _step(d, "cumsum")["attrs"].update(exclusive="1) evil("),
        "exclusive is .* which it cannot be",
    ),
    "code in a number": (
        lambda d: _step(d, "mean")["attrs"].update(correction="0); evil("),
        "correction is .* which it cannot be",
    ),
    "two functions of one name": (lambda d: _step(d, "cumsum").update(kernel=_step(d, "argsort")["kernel"]), "two"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_plan_of_typed_kernels_is_read_back_and_a_hostile_one_refused(name: str) -> None:
    plan, _ = schedule(passes.run(_traced(_everything, "float32[3, n, 5]")))
    memory = {"weights": plan.weights_size, "arena": plan.arena_size}
    data = json.loads(json.dumps({**describe(plan), "memory": memory}, allow_nan=False))
    assert describe(plan) == describe(read_plan(data))
    attack, message = ATTACKS[name]
    attack(data)
    with pytest.raises(BundleError, match=message):
        read_plan(data)
