"""Every row of the op table with every dtype that its rule takes: compiled, and held to the oracles."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from op_cases import NATIVE, WASM, Array, Case, answers_of, both, graph_of, random_case, rows, values

from neurenix import ops
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.dtypes import DTYPES, dtype
from neurenix.errors import GraphError, UnsupportedError
from neurenix.ops import Op
from neurenix.ops.selecting import ROWS as SELECTING

FORMS = both(NATIVE[-1:], WASM[1:2])


NAMES = [name for name in DTYPES if name != "float32"]  # which test_kernels.py has
# How far a result may be off, relative to max(1, |expected|); whole numbers are exact.
TOLERANCES = {"float16": 2e-3, "float64": 1e-11}
# Rows that the compiler knows for float32 alone, and float16 by way of it: anything else is refused by name.
FLOAT32_ONLY = {
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "rnn", "lstm", "gru", "attention",
}  # fmt: skip


def _floats(case: Case) -> bool:
    return any(a.dtype == np.float32 and a.size for a in case.arrays)


def typed_case(row: Op, name: str) -> Case | None:
    """Return a case of a row on a dtype, in place of the floats that it would have; None where its rule refuses it."""
    if row.name == "map" and not name.startswith("float"):
        return None  # its random expressions are of floats; test_maps.py has those of whole numbers
    drawn = next((c for c in map(partial(random_case, row), range(20)) if _floats(c)), random_case(row, 0))
    rng = np.random.default_rng(0)
    # Without floats all inputs are of one dtype, such as the operands of bitwise_and.
    floats = [a.dtype == np.float32 or not _floats(drawn) for a in drawn.arrays]
    with np.errstate(over="ignore"):  # float16 has no 1e6
        arrays = tuple(values(row, rng, a.shape, name) if f else a for a, f in zip(drawn.arrays, floats))
    try:
        row.infer_dtype([dtype(a.dtype) for a in arrays], drawn.attrs)
    except GraphError:
        return None
    return Case(row, arrays, drawn.attrs)


def _is_compiled(case: Case) -> bool:
    graph, _ = graph_of([case])
    try:
        schedule(passes.run(graph))
    except UnsupportedError:
        return False
    return True


def _cases(name: str) -> list[Case]:
    found = []
    for row in rows():
        if row in SELECTING or row.arity == 0:
            continue
        if row.kernel is None and row.expr is None and not _is_compiled(random_case(row, 0)):
            continue  # a gradient of the training library's, which no model holds
        case = typed_case(row, name)
        found += [] if case is None else [case]
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("forms", FORMS)
def test_every_row_answers_in_every_dtype_that_it_takes(forms: tuple[str, ...], name: str) -> None:
    cases = [case for case in _cases(name) if _is_compiled(case)]
    for case, form, wanted, answer in answers_of(cases, forms):
        what = f"{case.row.name} of {[str(a.dtype) for a in case.arrays]}, {dict(case.attrs)}, on {form}"
        _hold(wanted, answer, what)


def _hold(expected: Array, answer: Array, what: str) -> None:
    with np.errstate(over="ignore"):
        wanted = expected.astype(answer.dtype).astype(np.float64) if answer.dtype.kind == "f" else expected
    if answer.dtype.kind != "f":
        assert wanted.dtype == answer.dtype, what
        np.testing.assert_array_equal(wanted, answer, what)
        return
    got = answer.astype(np.float64)
    with np.errstate(all="ignore"):
        off = np.abs(wanted - got) / np.maximum(1, np.abs(wanted))
        bad = ~((wanted == got) | (np.isnan(wanted) & np.isnan(got)) | (off <= TOLERANCES[answer.dtype.name]))
    assert not bad.any(), f"{what}: (expected, got) {list(zip(wanted[bad][:4], got[bad][:4]))}"


def test_rows_that_take_float32_alone_say_so() -> None:
    refused = {name: {c.row.name for c in _cases(name) if not _is_compiled(c)} for name in ("float16", "float64")}
    assert {"float16": set(), "float64": FLOAT32_ONLY} == refused
    case = typed_case(ops.get("avg_pool2d"), "float64")
    assert case is not None
    with pytest.raises(UnsupportedError, match=r"'avg_pool2d'.*float64; its kernel takes float32"):
        schedule(passes.run(graph_of([case])[0]))
