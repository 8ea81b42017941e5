"""Cases made from the op table: random shapes, attributes and values of any row; many of them compiled as one graph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurenix import expr as ex
from neurenix import ops
from neurenix.bundle.writer import BASE, memory_pages
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.graph.graph import Graph
from neurenix.ops import Family, Op, types
from neurenix.opsdoc.cases import Case as CalledRow
from neurenix.opsdoc.cases import graph_of
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.reference import run_graph
from neurenix.phynexus.wasm import WasmEngine
from neurenix.toolchain import TARGETS, WASM_VARIANTS, compile_c, host_target

__all__ = ["graph_of"]

Array = np.ndarray[Any, Any]
ABI = 7
NATIVE = tuple(v.name for v in TARGETS[host_target() or "x86_64-linux"].variants)
WASM = tuple(WASM_VARIANTS)


def both(native: Sequence[str] = NATIVE, wasm: Sequence[str] = WASM) -> list[Any]:
    """Return the parameters of a test that compiles for this CPU and to WebAssembly, marked with what each needs."""
    return [
        pytest.param(native, marks=pytest.mark.zig, id="native"),
        pytest.param(wasm, marks=[pytest.mark.zig, pytest.mark.wasm], id="wasm"),
    ]


FORMS = both()


@dataclass(frozen=True, repr=False)
class Case(CalledRow):
    """One call of a row, which tells itself in a line."""

    def __repr__(self) -> str:
        inputs = ", ".join(f"{a.dtype}{list(a.shape)}" for a in self.arrays)
        return f"{self.row.name}({inputs}; {dict(self.attrs)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # what hypothesis prints


def rows(*families: Family) -> list[Op]:
    """Return the rows of the table, of some families only when they are named."""
    return [row for row in ops.OPS.values() if not families or row.family in families]


def values(row: Op, rng: np.random.Generator, shape: Sequence[int], precision: str) -> Array:
    """Draw from the row's domain: evenly, or by magnitude where it spans many."""
    low, high = row.domain
    if precision == "bool":
        return rng.random(shape) < 0.5
    if precision.startswith(("int", "uint")):
        return rng.integers(int(max(low, 0 if precision[0] == "u" else low)), int(high) + 1, shape).astype(precision)
    if low > 0 and high / low > 100:
        return np.exp(rng.uniform(np.log(low), np.log(high), shape)).astype(precision)
    return rng.uniform(low, high, shape).astype(precision)


def broadcasting_shapes(rng: np.random.Generator, count: int, sizes: Sequence[int] = (1, 2, 3, 5, 9)) -> list[Any]:
    """Return shapes that broadcast together: axes left out at the front, or 1."""
    full = tuple(int(rng.choice(sizes)) for _ in range(int(rng.integers(0, 5))))
    shapes = []
    for _ in range(count):
        kept = full[int(rng.integers(0, len(full) + 1)) :] if rng.random() < 0.4 else full
        shapes.append(tuple(1 if rng.random() < 0.25 else s for s in kept))
    return shapes


def random_expr(rng: np.random.Generator, operands: int, depth: int = 4) -> ex.Expr:
    """Return an expression of smooth growth: its values stay moderate for operands in [0.1, 2]."""
    if depth == 0 or rng.random() < 0.15:
        if rng.random() < 0.2:
            return ex.const(round(float(rng.uniform(-2, 2)), 3))
        return ex.operand(int(rng.integers(operands)))
    a, b = (random_expr(rng, operands, depth - 1) for _ in range(2))
    kinds = (
        lambda: a + b, lambda: a - b, lambda: a * b, lambda: a / (1 + b * b), lambda: -a, lambda: ex.absolute(a),
        lambda: ex.maximum(a, b), lambda: ex.minimum(a, b), lambda: ex.exp(ex.minimum(a, 2)), lambda: ex.tanh(a),
        lambda: ex.log(1.5 + a * a), lambda: ex.sqrt(1 + ex.absolute(a)), lambda: ex.where(a < b, a, b * 0.5),
        lambda: ex.where(ex.call("le", a, 0.3), b, a),
    )  # fmt: skip
    return kinds[int(rng.integers(len(kinds)))]()


def random_case(row: Op, seed: int, precision: str = "float32") -> Case:
    """Return a case of any row: by its `samples`, or for an elementwise one by broadcasting.

    `samples` gives attributes and, for each input, a shape to fill from the row's domain or the array itself.
    """
    rng = np.random.default_rng([seed, *row.name.encode()])
    given, attrs = sampled(row, rng, any_axis=bool(seed % 2))
    return filled(row, rng, given, attrs, precision)


def sampled(row: Op, rng: np.random.Generator, any_axis: bool) -> tuple[list[Any], dict[str, Any]]:
    """Return shapes or arrays, and attributes; `any_axis` sets an axis that `samples` leave out."""
    attrs: dict[str, Any] = {}
    if row.samples is not None:
        given, attrs = row.samples(rng)
    else:
        assert row.family is Family.ELEMENTWISE, f"'{row.name}' is structured and has no samples"
        arity = row.arity if row.arity >= 0 else int(rng.integers(1, 4))
        given = broadcasting_shapes(rng, arity)
        for name, default in row.attrs.items():
            if name == "expr":
                attrs[name] = random_expr(rng, arity)
            elif isinstance(default, float):
                attrs[name] = float(rng.uniform(0.01, 0.9))
    if "axis" in row.attrs and "axis" not in attrs and any_axis:
        attrs["axis"] = int(rng.integers(-len(given[0]), len(given[0])))
    return list(given), attrs


def filled(row: Op, rng: np.random.Generator, given: Sequence[Any], attrs: Mapping[str, Any], precision: str) -> Case:
    """Return a case whose shapes have been filled from the row's domain."""
    if row.name == "map":
        return Case(row, tuple(rng.uniform(0.1, 2, s).astype(precision) for s in given), row.bind(attrs))
    dtypes = taken_dtypes(row, rng, len(given), precision)
    arrays = (s if isinstance(s, np.ndarray) else values(row, rng, s, d) for s, d in zip(given, dtypes))
    arrays = (a.astype(precision) if a.dtype == np.float64 else a for a in arrays)
    return Case(row, tuple(arrays), row.bind(attrs))


def taken_dtypes(row: Op, rng: np.random.Generator, count: int, precision: str) -> list[str]:
    """Return dtypes that a row takes: floats of a precision, unless its rule wants something else."""
    if row.dtype is types.logical:
        return ["bool"] * count
    if row.dtype is types.integer:
        return [str(rng.choice(["int64", "int32", "uint8", "bool"]))] * count
    return ["bool" if row.dtype is types.chosen and i == 0 else precision for i in range(count)]


def engines(graph: Graph, forms: Sequence[str], optimize: bool = True) -> Iterator[tuple[str, Any]]:
    """Compile a graph and yield, for each form that runs on this machine, its engine."""
    plan, weights = schedule(passes.run(graph, optimize))
    source = print_c(plan, ABI)
    with tempfile.TemporaryDirectory(prefix="neurenix-test-") as folder:
        for form in forms:
            if form in WASM_VARIANTS:
                module = compile_c(source, WASM_VARIANTS[form], "model.wasm")
                yield form, WasmEngine(plan, weights, module, ABI, BASE, memory_pages(plan))
                continue
            target = TARGETS[host_target() or ""]
            variant = next(v for v in target.variants if v.name == form)
            library = Path(folder) / f"{form}{target.suffix}"
            library.write_bytes(compile_c(source, variant, f"model{target.suffix}"))
            if variant.level <= cpu_level(library):
                yield form, NativeEngine(plan, weights, library, ABI)


def run_forms(
    graph: Graph,
    feeds: Sequence[tuple[Mapping[str, Array], Mapping[str, int]]],
    forms: Sequence[str],
    optimize: bool = True,
) -> Iterator[tuple[str, list[dict[str, Array]]]]:
    """Compile a graph and yield, for each form that runs on this machine, its answers to every feed."""
    for form, engine in engines(graph, forms, optimize):
        yield form, [engine.run(arrays, dims) for arrays, dims in feeds]


def reference(graph: Graph, feeds: Mapping[str, Array], dims: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Return the oracles' answers in float64."""
    return run_graph(graph, feeds, dims or {}, precision="float64")


def hold(
    graph: Graph,
    feeds: Sequence[tuple[Mapping[str, Array], Mapping[str, int]]],
    forms: Sequence[str],
    tolerance: float = 1e-5,
    optimize: bool = True,
) -> None:
    """Compare every output of a graph, in each form that runs on this machine, with the oracles' in float64."""
    expected = [reference(graph, arrays, dims) for arrays, dims in feeds]
    ran = 0
    for form, answers in run_forms(graph, feeds, forms, optimize):
        ran += 1
        for (_, dims), wanted, got in zip(feeds, expected, answers):
            assert list(wanted) == list(got)
            for name in wanted:
                assert_close(wanted[name], got[name], tolerance, f"{name} on {form} with {dims}")
    assert ran, f"none of {forms} runs here"


def answers_of(cases: Sequence[Case], forms: Sequence[str]) -> Iterator[tuple[Case, str, Array, Array]]:
    """Yield each case with a form that runs on this machine, the oracle's answer in float64, and that form's."""
    graph, feeds = graph_of(cases)
    expected = reference(graph, feeds)
    ran = 0
    for form, (answers,) in run_forms(graph, [(feeds, {})], forms):
        ran += 1
        for at, case in enumerate(cases):
            yield case, form, expected[f"y{at}"], answers[f"y{at}"]
    assert ran, f"none of {forms} runs here"


def assert_close(expected: Array, actual: Array, tolerance: float, what: str, relative: bool = False) -> None:
    """Compare with the table's measure: the error relative to max(1, |expected|), or to |expected| alone."""
    with np.errstate(all="ignore"):
        wanted = np.asarray(expected, dtype=np.float64).astype(np.float32).astype(np.float64)
    got = np.asarray(actual, dtype=np.float64)
    assert wanted.shape == got.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    assert (np.isnan(wanted) == np.isnan(got)).all(), f"{what}: NaN in other places, got {got}, expected {wanted}"
    with np.errstate(all="ignore"):
        scale = np.abs(wanted) if relative else np.maximum(1, np.abs(wanted))
        bad = ~((wanted == got) | np.isnan(wanted) | (np.abs(wanted - got) <= tolerance * scale + 3e-45))
    first = [(float(w), float(g)) for w, g in zip(wanted[bad][:4], got[bad][:4])]
    assert not bad.any(), f"{what}: {bad.sum()} of {bad.size} differ; (expected, got): {first}"
