"""Claim: whatever an ONNX file holds, reading it gives a Graph or a typed error, and soon.

Run as a script it tries as many as you like: `python tests/test_onnx_mutants.py 20000`.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter

import onnx
import pytest
from onnx_mutants import mutants

from neurenix.errors import NeurenixError
from neurenix.frontends.onnx import import_onnx

pytestmark = pytest.mark.slow

# As much as a reader of a few kilobytes may ever take: seconds of processor time, and bytes.
LIMIT_SECONDS = 5.0
# Every operator's cases would do; each of these stands for a family of attributes.
EVERY = 7


def seeds() -> list[onnx.ModelProto]:
    """Return small real models: every seventh of ONNX's own node cases."""
    from onnx.backend.test import loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = sorted(loader.load_model_tests(kind="node"), key=lambda c: c.name)
    return [c.model for c in cases[::EVERY]]


def read(mutant: onnx.ModelProto) -> str:
    """Return how reading went: "graph", or the code of a typed error; anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, about numbers that overflow
        try:
            import_onnx(mutant)
            return "graph"
        except NeurenixError as error:
            assert str(error)
            return error.code


def run(count: int, seed: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for number, mutant in mutants(seeds(), count, seed):
        started = time.process_time()
        try:
            outcome = read(mutant)
        except Exception as error:
            raise AssertionError(f"mutant {seed}:{number}: {type(error).__name__}: {error}") from error
        taken = time.process_time() - started
        assert taken < LIMIT_SECONDS, f"mutant {seed}:{number} took {taken:.1f} s ({outcome})"
        outcomes[outcome] += 1
    return outcomes


def test_damaged_models_give_a_graph_or_a_typed_error() -> None:
    outcomes = run(300, seed=1)
    # Both happen: neither a reader that refuses everything nor mutations that change nothing would prove anything.
    assert outcomes["graph"] > 20
    assert outcomes["bad_model"] > 20


if __name__ == "__main__":
    import resource

    most = 8 << 30
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    print(run(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0))
