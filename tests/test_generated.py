"""Generated pages: what is committed is what the tables give today, but for the figures measured on a machine."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from neurenix import expr as ex
from neurenix import ops
from neurenix.config.reference import reference_page
from neurenix.config.schema import schema_json
from neurenix.opsdoc.cases import random_case
from neurenix.opsdoc.committed import MEASURED, committed_adapter, committed_errors, committed_special
from neurenix.opsdoc.mathematics import mathematics
from neurenix.opsdoc.measure import measured_rows
from neurenix.opsdoc.page import SPECIAL, ops_page, special_cases, special_page

DOCS = Path(__file__).parent.parent / "docs"


def _without_figures(text: str) -> str:
    return re.sub(rf"^{re.escape(MEASURED)}.*$", MEASURED, text, flags=re.MULTILINE)


def test_the_page_of_the_table_is_up_to_date() -> None:
    committed = (DOCS / "ops.md").read_text(encoding="utf-8")
    made = ops_page({})
    assert _without_figures(made) == _without_figures(committed), "run python -m neurenix.opsdoc"
    assert set(ops.OPS) == set(re.findall(r"^### (\w+)$", committed, re.MULTILINE))


def test_every_measured_row_has_figures_of_every_backend() -> None:
    committed = (DOCS / "ops.md").read_text(encoding="utf-8")
    sections = dict(re.findall(rf"^### (\w+)$.*?^{re.escape(MEASURED)}(.*?)$", committed, re.MULTILINE | re.DOTALL))
    for row in measured_rows():
        backends = [part.rsplit(" ", 1)[0] for part in sections[row.name].split(", ")]
        wanted = ["reference"]
        if row.kernel is not None or row.expr is not None:
            wanted += ["wasm scalar", "wasm simd", "wasm relaxed"]
            assert row.name in committed_errors(DOCS), "every op has a shader"
        assert wanted == backends[: len(wanted)], row.name


def test_the_page_of_special_values_has_every_op_of_floats() -> None:
    cases = special_cases()
    eager = [case.row.evaluate(case.arrays, case.attrs) for case in cases]
    kept = committed_special(DOCS)
    made = special_page(cases, {"reference": eager}, committed_adapter(DOCS), kept).splitlines()
    committed = (DOCS / "ops-special.md").read_text(encoding="utf-8").splitlines()

    def calls(lines: list[str]) -> list[str]:
        return list(dict.fromkeys(line.split("|")[1] for line in lines if line.startswith("| ")))

    assert calls(made) == calls(committed), "run python -m neurenix.opsdoc"
    assert kept.keys() == {call.strip() for call in calls(committed)} - {"op"}, "every op has a shader"
    assert committed_adapter(DOCS), "a machine without an adapter keeps what another's gave"
    head = committed.index("| op | " + " | ".join(SPECIAL) + " | backends |")
    assert made[:head] == committed[:head]
    assert len(SPECIAL) + 3 == made[-1].count("|")


@pytest.mark.parametrize("row", measured_rows(), ids=lambda row: row.name)
def test_what_is_measured_are_real_answers(row: ops.Op) -> None:
    case = random_case(row, 0)
    answer = row.evaluate(case.arrays, case.attrs)
    assert answer.dtype.kind != "f" or np.isfinite(answer).any() or answer.size == 0


def test_expressions_read_as_mathematics() -> None:
    x, y = ex.operand(0), ex.operand(1)
    assert "1 / (1 + exp(-a))" == mathematics(1 / (1 + ex.exp(-x)), ["a"])
    assert "a - (b - a) * 2" == mathematics(x - (y - x) * 2, ["a", "b"])
    assert "0 if a < 0 else a" == mathematics(ex.where(x < 0, 0, x), ["a"])
    assert "(0 if a < 0 else a) * b" == mathematics(ex.where(x < 0, 0, x) * y, ["a", "b"])
    assert "not a = b" == mathematics(ex.negation(ex.equal(x, y)), ["a", "b"])


def test_the_reference_of_the_configuration_is_up_to_date() -> None:
    committed = (DOCS / "config.md").read_text(encoding="utf-8")
    assert reference_page() == committed, "run python -m neurenix.config"


def test_the_schema_of_the_configuration_is_up_to_date() -> None:
    committed = (DOCS / "neurenix.schema.json").read_text(encoding="utf-8")
    assert schema_json() == committed, "run python -m neurenix.config"
