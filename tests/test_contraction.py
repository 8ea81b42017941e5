"""Products: of vectors, matrices and batches as people write them, einsum, and what the compiler makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from op_cases import FORMS, assert_close, run_forms

from neurenix import Tensor, einsum
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.errors import GraphError
from neurenix.graph.graph import Graph
from neurenix.nn import Linear, Module
from neurenix.ops.matmul import batch_strides
from neurenix.phynexus.reference import run_graph
from neurenix.trace import trace

RNG = np.random.default_rng(5)
EQUATIONS = [
    ("ij,jk->ik", (3, 4), (4, 5)), ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("...ij,...jk", (2, 1, 3, 4), (3, 4, 5)), ("ii->i", (4, 4)), ("ii", (4, 4)), ("ijji->j", (3, 4, 4, 3)),
    ("ij->ji", (3, 4)), ("ba", (3, 2)), ("i,j->ij", (3,), (4,)),
    ("i,i->", (3,), (3,)), ("ij,kl->", (3, 2), (4, 2)), ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)),
    ("a...b,b...->a...", (3, 2, 1, 4), (4, 1, 5)), ("ij,ij->ij", (3, 1), (1, 4)), ("aab,bc->ac", (3, 3, 2), (2, 4)),
    ("ij,jk->k", (3, 1), (4, 5)), ("Ab,bA", (2, 3), (3, 2)), ("i j -> j i", (2, 3)),
]  # fmt: skip


class Function(Module):
    """A function of tensors as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def _normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


def _compiled(graph: Graph, feeds: Mapping[str, Any], dims: Mapping[str, int], forms: tuple[str, ...]) -> None:
    expected = run_graph(graph, feeds, dims, "float64")
    for form, (answers,) in run_forms(graph, [(feeds, dims)], forms):
        for name, values in expected.items():
            assert_close(values, answers[name], 2e-5, f"{name} on {form}")


@pytest.mark.parametrize(("equation", "shapes"), [pytest.param(e, s, id=e) for e, *s in EQUATIONS])
def test_einsum_is_numpys(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [RNG.standard_normal(s) for s in shapes]
    expected = np.einsum(equation, *arrays)
    inputs = [Tensor(a, requires_grad=True) for a in arrays]
    y = einsum(equation, *inputs)
    assert expected.shape == y.shape
    np.testing.assert_allclose(expected, y.numpy(), rtol=1e-12, atol=1e-12)
    # Linear in each operand: the gradient's product with the operand is the product with the result.
    weight = RNG.standard_normal(expected.shape)
    y.backward(weight)
    for x, a in zip(inputs, arrays):
        assert x.grad is not None
        assert float((expected * weight).sum()) == pytest.approx(float((x.grad.numpy() * a).sum()), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("equation", "shapes", "problem"),
    [
        ("ij,jk->ik", [(2, 3)], "names 2 operands, got 1"),
        ("ij->ik", [(2, 3)], "'k' is in no operand"),
        ("ij->ii", [(2, 3)], "names an axis twice"),
        ("ij", [(2, 3, 4)], "does not name the axes of"),
        ("ij,jk", [(2, 3), (4, 5)], "'j' is 3 and 4"),
        ("ii", [(2, 3)], "no diagonal"),
        ("i1", [(2, 3)], "not of the form"),
        ("i->...i", [(2,)], "no operand has"),
    ],
)
def test_einsum_says_what_does_not_fit(equation: str, shapes: list[tuple[int, ...]], problem: str) -> None:
    with pytest.raises(GraphError, match=problem):
        einsum(equation, *(np.zeros(s, np.float32) for s in shapes))


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((4,), (5, 4, 2)), ((5, 2, 4), (4,)), ((2, 1, 3, 4), (5, 4, 2)),
     ((7, 2, 4), (4, 3)), ((2, 4), (6, 4, 3)), ((0, 2, 4), (4, 3)), ((2, 0), (0, 3))],
)  # fmt: skip
def test_products_of_any_ranks_are_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = _normal(*a), _normal(*b)
    np.testing.assert_allclose(x @ y, (Tensor(x) @ y).numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(x @ y, (x @ Tensor(y)).numpy(), rtol=1e-5, atol=1e-5)


def test_whole_numbers_multiply_exactly() -> None:
    a, b = RNG.integers(-9, 9, (3, 4)), RNG.integers(-9, 9, (4, 2))
    np.testing.assert_array_equal(a @ b, (Tensor(a) @ Tensor(b)).numpy())
    plan, _ = schedule(passes.run(trace(Function(lambda x: x @ b), {"x": "int64[3, 4]"})))
    assert ["batch_matmul"] == [step.op for step in plan.steps]  # test_dtypes.py holds its answers to the oracle's


def test_named_products_want_their_ranks() -> None:
    a, b, v = Tensor(_normal(3, 4)), Tensor(_normal(4, 2)), Tensor(_normal(4))
    np.testing.assert_array_equal((a @ b).numpy(), a.mm(b).numpy())
    np.testing.assert_array_equal((a @ v).numpy(), a.mv(v).numpy())
    np.testing.assert_allclose(np.outer(v.numpy(), v.numpy()), v.outer(v).numpy(), rtol=1e-6)
    assert float(v.numpy() @ v.numpy()) == pytest.approx(v.dot(v).item(), rel=1e-6)
    c = _normal(3, 2)
    expected = 0.5 * c + 2 * a.numpy() @ b.numpy()
    np.testing.assert_allclose(expected, Tensor(c).addmm(a, b, beta=0.5, alpha=2).numpy(), rtol=1e-5, atol=1e-6)
    for wrong in (lambda: a.mm(v), lambda: a.dot(v), lambda: v.mv(a), lambda: a.outer(v), lambda: a.bmm(b)):
        with pytest.raises(GraphError):
            wrong()
    with pytest.raises(GraphError, match="does not broadcast"):
        Tensor(_normal(1, 2, 3)).bmm(_normal(2, 3, 4))


def test_neighbouring_batch_axes_are_walked_as_one() -> None:
    assert [(6, 1, 1)] == batch_strides((2, 3, 4, 5), (2, 3, 5, 6), (2, 3, 4, 6))
    assert [(6, 1, 0)] == batch_strides((2, 3, 4, 5), (5, 6), (2, 3, 4, 6))
    assert [(2, 1, 0), (3, 0, 1)] == batch_strides((2, 1, 4, 5), (3, 5, 6), (2, 3, 4, 6))
    assert [(2, 3, 0), (3, 1, 1)] == batch_strides((2, 3, 4, 5), (1, 3, 5, 6), (2, 3, 4, 6))
    assert [] == batch_strides((1, 4, 5), (5, 6), (1, 4, 6))


class Attention(Module):
    """Scaled dot products of heads, as everybody writes them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.mix, self.out = Linear(width, 3 * width), Linear(width, width)

    def forward(self, input: Tensor) -> Tensor:
        n, length, _ = input.shape
        parts = self.mix(input).reshape((n, length, 3, self.heads, -1)).permute((2, 0, 3, 1, 4))
        flat = parts.reshape((3, n * self.heads * length * (self.width // self.heads)))
        shape = (n, self.heads, length, self.width // self.heads)
        q, k, v = (
            flat.apply("slice", starts=(i, None), stops=(i + 1, None), steps=(1, 1)).reshape(shape) for i in range(3)
        )
        weights = ((q @ k.transpose(-2, -1)) * (self.width // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ v).permute((0, 2, 1, 3)).reshape((n, length, self.width)))


@pytest.mark.parametrize("forms", FORMS)
def test_attention_is_compiled(forms: tuple[str, ...]) -> None:
    graph = trace(Attention(24, 3), {"x": "float32[batch, length, 24]"}, {"batch": (1, 3), "length": (2, 70)})
    for batch, length in ((2, 67), (1, 2)):
        _compiled(graph, {"x": _normal(batch, length, 24)}, {"batch": batch, "length": length}, forms)


def test_a_transposed_operand_and_a_scale_cost_no_step_of_their_own() -> None:
    graph = passes.run(
        trace(
            Function(lambda q, k: (q @ k.transpose(-2, -1)) * 0.25),
            {"q": "float32[2, 3, 5, 4]", "k": "float32[2, 3, 6, 4]"},
        )
    )
    assert ["batch_matmul"] == [n.op for n in graph.nodes]
    assert graph.nodes[0].attrs["transposed"] and graph.nodes[0].epilogue is not None


@pytest.mark.parametrize("forms", FORMS)
def test_products_by_what_is_made_at_run_time_are_compiled(forms: tuple[str, ...]) -> None:
    left, right, row, deep = _normal(5, 7), _normal(2, 1, 7, 3), _normal(7), _normal(1, 7, 9)

    def all_kinds(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {
            "plain": x @ y, "left": Tensor(left) @ y, "right": x @ Tensor(right), "row": Tensor(row) @ y,
            "deep": x @ deep, "column": x @ Tensor(row), "self": x.transpose(-1, -2) @ x,
            "outer": einsum("bij,bkl->bil", x, y), "tail": ((x @ y) + 1).relu() * y.sum(dim=-2, keepdim=True),
        }  # fmt: skip

    graph = trace(Function(all_kinds), {"x": "float32[batch, 6, 7]", "y": "float32[batch, 7, 130]"})
    _compiled(graph, {"x": _normal(3, 6, 7), "y": _normal(3, 7, 130)}, {"batch": 3}, forms)


def test_a_linear_layer_on_sequences_keeps_its_packed_weight() -> None:
    graph = passes.run(trace(Linear(8, 4), {"x": "float32[batch, length, 8]"}))
    assert ["matmul"] == [n.op for n in graph.nodes]
