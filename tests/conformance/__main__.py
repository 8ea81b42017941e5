"""`python -m tests.conformance [--update] [--backend NAME] [regex]`: runs the cases and compares with table.tsv."""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from neurenix.phynexus.detect import usable_adapters
from tests.conformance.cases import BACKENDS, Outcome, all_cases, run_named

TABLE = Path(__file__).with_name("table.tsv")
FIXED = "fixed when built"
# Run unless others are asked for: a software GPU compiles some 4,000 shaders for the fourth, which takes minutes.
USUAL = BACKENDS[:3]

Row = Mapping[str, str]


def main() -> int:
    """Run, compare and print; 1 when an outcome is not the table's."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pattern", nargs="?", default="", help="only cases whose names this regular expression finds")
    options.add_argument("--update", action="store_true", help="write the outcome into the table")
    options.add_argument(
        "--backend", action="append", choices=BACKENDS, help="run this one, and others named so; else all but webgpu"
    )
    given = options.parse_args()
    backends = _usable(given.backend or USUAL)
    cases = [case for case in all_cases() if re.search(given.pattern, case.name)] if backends else []
    outcomes = _run_all(cases, backends)
    known = read_table()
    rows = {o.name: {**o.results, FIXED: " ".join(o.fixed)} for o in outcomes}
    changed = [name for name, row in rows.items() if any(known.get(name, {}).get(k) != v for k, v in row.items())]
    for name in changed:
        was = known.get(name, {})
        print(f"{name}:")
        for column in [k for k, v in rows[name].items() if was.get(k) != v]:
            print(f"  {column} was  {was.get(column, 'not in the table')}\n  {column} now  {rows[name][column]}")
    for backend in backends:
        print(f"{backend:10} {sum(o.passes(backend) for o in outcomes):5} of {len(outcomes)} pass")
    _print_reasons(outcomes)
    if given.update:
        _write_table({**(known if given.pattern or not backends else {n: known.get(n, {}) for n in rows})}, rows)
        return 0
    return 1 if changed else 0


def read_table() -> dict[str, Row]:
    """Return the committed outcome of every case: by the case's name, then by the column."""
    if not TABLE.exists():
        return {}
    head, *lines = (line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines())
    return {line[0]: dict(zip(head[1:], line[1:])) for line in lines}


def _write_table(known: Mapping[str, Row], rows: Mapping[str, Row]) -> None:
    """Write what was known with what is known now in its place; a column that nobody ran stays."""
    columns = (*BACKENDS, FIXED)
    merged = {name: {**known.get(name, {}), **rows.get(name, {})} for name in sorted({*known, *rows})}
    lines = ["\t".join((name, *(row.get(c, "not run") for c in columns))) for name, row in merged.items()]
    TABLE.write_text("\n".join(["\t".join(("case", *columns)), *lines]) + "\n", encoding="utf-8")


def _usable(backends: Sequence[str]) -> tuple[str, ...]:
    """Leave out WebGPU where there is none, and say so: its column stays as it is."""
    without = "webgpu" in backends and not usable_adapters()
    if without:
        print("webgpu is not run, and its column is neither compared nor changed: no adapter here runs shaders rightly")
    return tuple(b for b in backends if b != "webgpu" or not without)


def _run_all(cases: Sequence[Any], backends: Sequence[str]) -> list[Outcome]:
    started, outcomes = time.monotonic(), []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for outcome in pool.map(functools.partial(run_named, backends), [c.name for c in cases], chunksize=8):
            outcomes.append(outcome)
            if len(outcomes) % 100 == 0:
                print(f"{len(outcomes)} of {len(cases)} cases, {time.monotonic() - started:.0f} s", flush=True)
    return sorted(outcomes, key=lambda o: o.name)


def _print_reasons(outcomes: Sequence[Outcome]) -> None:
    reasons = Counter(result for o in outcomes for b, result in o.results.items() if not o.passes(b))
    print("\nwhy not, and how often:")
    for reason, count in reasons.most_common(40):
        print(f"{count:5}  {reason}")


if __name__ == "__main__":
    sys.exit(main())
