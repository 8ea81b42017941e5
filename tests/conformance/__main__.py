"""`python -m tests.conformance [--update] [regex]`: runs the cases and compares with table.tsv, or rewrites it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.conformance.cases import BACKENDS, Outcome, all_cases, run_named

TABLE = Path(__file__).with_name("table.tsv")


def main() -> int:
    """Run, compare and print; 1 when an outcome is not the table's."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pattern", nargs="?", default="", help="only cases whose names this regular expression finds")
    options.add_argument("--update", action="store_true", help="write the outcome into the table")
    given = options.parse_args()
    cases = [case for case in all_cases() if re.search(given.pattern, case.name)]
    outcomes = _run_all(cases)
    known = read_table()
    lines = {o.name: _line(o) for o in outcomes}
    changed = [name for name, line in lines.items() if known.get(name) != line]
    for name in changed:
        print(f"was  {known.get(name, name + chr(9) + 'not in the table')}\nnow  {lines[name]}")
    for backend in BACKENDS:
        print(f"{backend:10} {sum(o.passes(backend) for o in outcomes):5} of {len(outcomes)} pass")
    _print_reasons(outcomes)
    if given.update:
        rows = {**(known if given.pattern else {}), **lines}
        TABLE.write_text(_header() + "".join(f"{rows[n]}\n" for n in sorted(rows)), encoding="utf-8")
        return 0
    return 1 if changed else 0


def read_table() -> dict[str, str]:
    """Return the committed outcome of every case, by its name."""
    if not TABLE.exists():
        return {}
    lines = TABLE.read_text(encoding="utf-8").splitlines()[1:]
    return {line.split("\t", 1)[0]: line for line in lines}


def _run_all(cases: list[Any]) -> list[Outcome]:
    started, outcomes = time.monotonic(), []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for outcome in pool.map(run_named, [c.name for c in cases], chunksize=8):
            outcomes.append(outcome)
            if len(outcomes) % 100 == 0:
                print(f"{len(outcomes)} of {len(cases)} cases, {time.monotonic() - started:.0f} s", flush=True)
    return sorted(outcomes, key=lambda o: o.name)


def _header() -> str:
    return "\t".join(("case", *BACKENDS, "fixed when built")) + "\n"


def _line(outcome: Outcome) -> str:
    return "\t".join((outcome.name, *(outcome.results[b] for b in BACKENDS), " ".join(outcome.fixed)))


def _print_reasons(outcomes: list[Outcome]) -> None:
    reasons = Counter(o.results[b] for o in outcomes for b in BACKENDS if not o.passes(b))
    print("\nwhy not, and how often:")
    for reason, count in reasons.most_common(40):
        print(f"{count:5}  {reason}")


if __name__ == "__main__":
    sys.exit(main())
