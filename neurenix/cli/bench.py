"""`neurenix bench`: how long a bundle takes for one answer, on every backend that is here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np

from neurenix.bundle.reader import Bundle, read_bundle
from neurenix.cli.backends import Absent, Backend, backend_option, backends, chosen_dims, dim_option, feeds
from neurenix.cli.options import common
from neurenix.cli.terminal import bar, chart_width, print_json, show_line, show_table
from neurenix.cli.wording import scaled, seconds_text, size_text
from neurenix.graph.cost import step_costs

_FEWEST, _MOST = 5, 100_000


@dataclass(frozen=True)
class Timing:
    """One backend: seconds for one answer, at the median and where 10 % were faster or slower."""

    backend: str
    form: str
    threads: int
    runs: int
    p10: float
    median: float
    p90: float
    flops_per_second: float


@dataclass(frozen=True)
class BenchReport:
    """What was timed, at these dims; `absent` maps each backend that is not here to the reason."""

    name: str
    path: Path
    dims: Mapping[str, int]
    flops: int
    weights: int
    timings: tuple[Timing, ...]
    absent: Mapping[str, str]


@click.command("bench")
@click.argument("bundle", type=click.Path(path_type=Path))
@dim_option
@backend_option
@click.option("--seconds", type=click.FloatRange(0, 3600), default=1.0, show_default=True,
              help="How long each backend is timed, at least 5 answers.")  # fmt: skip
@click.option("--every-form", is_flag=True, help="Also time the forms that are not the best one of a backend.")
@common
def command(
    bundle: Path, dims: tuple[tuple[str, int], ...], devices: tuple[str, ...], seconds: float, every_form: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Time a bundle on every backend that is here.

    BUNDLE is a folder with one model, or its NAME.json. A time is one forward call, with copying the inputs and
    outputs. WebAssembly runs in wasmtime, which is not as fast as browsers are.
    """
    read = read_bundle(bundle)
    report = bench_bundle(read, chosen_dims(read.plan, dims), devices, seconds, every_form)
    if as_json:
        print_json(report)
    else:
        _show(report)


def bench_bundle(
    bundle: Bundle, dims: Mapping[str, int], devices: tuple[str, ...], seconds: float, every_form: bool
) -> BenchReport:
    """Time each backend for some seconds."""
    flops = sum(cost.flops for cost in step_costs(bundle.plan, dims))
    inputs = feeds(bundle, dims)
    timings, absent = [], {}
    for backend in backends(bundle, devices, every_form):
        if isinstance(backend, Absent):
            absent[backend.device] = backend.reason
        else:
            timings.append(_timing(backend, partial(backend.run, inputs, dims), flops, seconds))
    plan = bundle.plan
    return BenchReport(plan.name, bundle.path, dict(dims), flops, plan.weights_size, tuple(timings), absent)


def _timing(backend: Backend, call: Callable[[], object], flops: int, seconds: float) -> Timing:
    call()  # the first one also warms caches
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < _FEWEST or (time.perf_counter() - start < seconds and len(times) < _MOST):
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    p10, median, p90 = (float(v) for v in np.percentile(times, (10, 50, 90)))
    speed = flops / median if median else 0.0
    return Timing(backend.device, backend.form, backend.threads, len(times), p10, median, p90, speed)


def _show(report: BenchReport) -> None:
    dims = ", ".join(f"{name} = {size}" for name, size in report.dims.items())
    about = f"{scaled(report.flops)}FLOP, {size_text(report.weights)} of parameters"
    show_line(f"{report.name}" + (f" at {dims}" if dims else "") + f": {about}", style="bold")
    rows = [
        (t.backend, t.form, t.threads, t.runs, seconds_text(t.p10), seconds_text(t.median), seconds_text(t.p90),
         f"{scaled(t.flops_per_second)}FLOP/s")
        for t in report.timings
    ]  # fmt: skip
    columns = ("backend", "form", "threads", "runs", "p10", "median", "p90", "speed")
    show_table(columns, rows, right=columns[2:])
    show_line()
    names = [f"{t.backend} {t.form}" for t in report.timings]
    longest = max(map(len, names), default=0)
    slowest = max((t.median for t in report.timings), default=0.0)
    for name, t in zip(names, report.timings):
        length = bar(t.median, slowest, chart_width(longest + 14))
        show_line(f"{name:<{longest}}  {length} {seconds_text(t.median)}")
    for device, reason in report.absent.items():
        show_line(f"not here: {device}: {reason}", style="dim")
