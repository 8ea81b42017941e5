"""`neurenix verify`: the golden inputs of a bundle on every backend that is here, held to the answers it carries."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.text import Text

from neurenix.bundle.golden import Golden
from neurenix.bundle.reader import Bundle, read_bundle
from neurenix.cli.backends import Absent, Backend, backend_option, backends
from neurenix.cli.options import common
from neurenix.cli.terminal import print_json, show_line, show_table
from neurenix.cli.wording import seconds_text
from neurenix.errors import BundleError, NeurenixError
from neurenix.session import allowed


@dataclass(frozen=True)
class CaseResult:
    """One golden case: its dims, the largest error and the limit."""

    dims: Mapping[str, int]
    error: float
    tolerance: float


@dataclass(frozen=True)
class Result:
    """One form on one backend. `error` is the largest of its cases; `problem` says why it gave no answer."""

    backend: str
    form: str
    ok: bool
    error: float | None
    tolerance: float
    seconds: float
    cases: tuple[CaseResult, ...]
    problem: str | None


@dataclass(frozen=True)
class VerifyReport:
    """What was verified; `absent` maps each backend that is not here to the reason."""

    name: str
    path: Path
    ok: bool
    results: tuple[Result, ...]
    absent: Mapping[str, str]


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@backend_option
@common
@click.pass_context
def command(ctx: click.Context, bundle: Path, devices: tuple[str, ...], as_json: bool) -> None:
    """Answer a bundle's golden inputs on every backend that is here.

    BUNDLE is a folder with one model, or its NAME.json. Every compiled form that this host can run is held to the
    answers that the bundle carries, which NumPy computed in float64. The exit code is 1 when one is off.
    """
    report = verify_bundle(read_bundle(bundle), devices)
    if as_json:
        print_json(report)
    else:
        _show(report)
    if not report.ok:
        failed = ", ".join(f"{r.backend} ({r.form})" for r in report.results if not r.ok)
        show_line(f"neurenix: verification_failed: '{report.name}' is not what it should be on {failed}", stderr=True)
        ctx.exit(1)


def verify_bundle(bundle: Bundle, devices: tuple[str, ...] = ()) -> VerifyReport:
    """Run every golden case on every backend, and return the errors. Raises BundleError where there is no case."""
    if not bundle.golden:
        raise BundleError(f"'{bundle.plan.name}' carries no golden values: build it again")
    bundle.weights()  # damaged ones are the bundle's fault, and no backend's
    results, absent = [], {}
    for backend in backends(bundle, devices, every_form=True):
        if isinstance(backend, Absent):
            absent[backend.device] = backend.reason
        else:
            results.append(_result(bundle, backend))
    return VerifyReport(bundle.plan.name, bundle.path, all(r.ok for r in results), tuple(results), absent)


def _result(bundle: Bundle, backend: Backend) -> Result:
    start = time.perf_counter()
    cases: list[CaseResult] = []
    problem = None
    try:
        cases += [_case(bundle, backend, golden) for golden in bundle.golden]
    except NeurenixError as error:
        problem = str(error)
    seconds = time.perf_counter() - start
    ok = problem is None and all(case.error <= case.tolerance for case in cases)
    worst = max((case.error for case in cases), default=None)
    tolerance = min(allowed(golden, backend.tolerance) for golden in bundle.golden)
    return Result(backend.device, backend.form, ok, worst, tolerance, seconds, tuple(cases), problem)


def _case(bundle: Bundle, backend: Backend, golden: Golden) -> CaseResult:
    error = golden.error(backend.run(golden.feeds(bundle.plan), golden.dims))
    return CaseResult(golden.dims, float(error), allowed(golden, backend.tolerance))


def _show(report: VerifyReport) -> None:
    rows = []
    for r in report.results:
        verdict = Text("ok", style="green") if r.ok else Text("FAILED", style="bold red")
        error = "-" if r.error is None else f"{r.error:.1e}"
        rows.append((r.backend, r.form, verdict, error, f"{r.tolerance:.0e}", seconds_text(r.seconds)))
    show_line(f"{report.name}: {len(report.results[0].cases) if report.results else 0} golden cases", style="bold")
    show_table(("backend", "form", "answers", "largest error", "limit", "time"), rows,
               right=("largest error", "limit", "time"))  # fmt: skip
    for r in report.results:
        if r.problem:
            show_line(f"{r.backend} ({r.form}): {r.problem}")
    for device, reason in report.absent.items():
        show_line(f"not here: {device}: {reason}", style="dim")
