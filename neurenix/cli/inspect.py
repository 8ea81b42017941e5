"""`neurenix inspect`: what a bundle or an .onnx file computes, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from neurenix.bundle.reader import Bundle, read_bundle
from neurenix.cli.backends import chosen_dims, dim_option
from neurenix.cli.onnx_report import OnnxReport, report_onnx
from neurenix.cli.options import common
from neurenix.cli.plan_report import BufferReport, PlanReport, Port, report_plan
from neurenix.cli.terminal import chart_width, filled, print_json, show_line, show_table, show_title
from neurenix.cli.wording import scaled, size_text

# The largest buffers make the arena's shape; the rest of a thousand would only fill the screen.
_MOST_BARS = 40
_LONGEST_NAME = 24


@dataclass(frozen=True)
class BundleReport:
    """A bundle: its files in bytes, the forms that it ships, and the plan in them."""

    path: Path
    format: int
    generator: str
    files: Mapping[str, int]
    variants: tuple[str, ...]
    native: tuple[str, ...]
    webgpu: bool
    golden: int
    plan: PlanReport


@click.command("inspect")
@click.argument("path", metavar="BUNDLE_OR_ONNX", type=click.Path(path_type=Path))
@dim_option
@common
@click.pass_context
def command(ctx: click.Context, path: Path, dims: tuple[tuple[str, int], ...], as_json: bool) -> None:
    """Show what a bundle or an .onnx file computes and what that costs.

    A bundle is a folder with one model, or its NAME.json: its layers, steps, parameters and the life of each buffer
    in the arena. Of an .onnx file also the operators, which of them are supported, and what would be compiled; the
    exit code is 1 when it cannot be. FLOP are additions, products, comparisons and functions, each counted as one.
    """
    if path.suffix.lower() == ".onnx":
        model = report_onnx(path, dims)
        print_json(model) if as_json else _show_onnx(model)
        if model.problem is not None:
            show_line(f"neurenix: {model.problem}", stderr=True)
            ctx.exit(1)
        return
    bundle = read_bundle(path)
    report = _report(bundle, chosen_dims(bundle.plan, dims))
    print_json(report) if as_json else _show_bundle(report)


def _report(bundle: Bundle, dims: Mapping[str, int]) -> BundleReport:
    manifest = bundle.manifest
    return BundleReport(
        path=bundle.path,
        format=manifest["format"],
        generator=str(manifest.get("generator", "")),
        files={name: file["size"] for name, file in manifest["files"].items()},
        variants=tuple(variant["name"] for variant in manifest["variants"]),
        native=tuple(form["level"] for form in manifest["native"]),
        webgpu="webgpu" in manifest,
        golden=len(bundle.golden),
        plan=report_plan(bundle.plan, dims),
    )


def _show_bundle(report: BundleReport) -> None:
    show_line(f"{report.plan.name}: a bundle of format {report.format}, by {report.generator}", style="bold")
    forms = [*(f"{name}.wasm" for name in report.variants), *report.native, *(["WebGPU"] if report.webgpu else [])]
    show_line(f"{len(report.files)} files, {size_text(sum(report.files.values()))}; {', '.join(forms) or 'no code'}; "
              f"{report.golden} golden cases")  # fmt: skip
    _show_plan(report.plan)


def _show_onnx(report: OnnxReport) -> None:
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in report.opsets.items())
    by = f", by {report.producer}" if report.producer else ""
    show_line(f"{report.path.name}: {report.nodes} nodes, opset {opsets}{by}", style="bold")
    show_title("Operators")
    rows = [(f"{o.domain}.{o.name}" if o.domain else o.name, o.count, o.status) for o in report.operators]
    show_table(("operator", "nodes", "status"), rows, right=("nodes",))
    if report.compiled is not None:
        show_title("What would be compiled")
        _show_plan(report.compiled)


def _show_plan(plan: PlanReport) -> None:
    for kind, ports in (("input", plan.inputs), ("output", plan.outputs)):
        for port in ports:
            show_line(f"{kind:<7} {_port(port)}")
    for name, size in plan.dims.items():
        show_line(f"dim     {name}: {size.min} to {size.max}, shown for {size.value}")
    if plan.labels:
        show_line(f"labels  {', '.join(plan.labels)}")
    show_line(f"{plan.parameters:,} parameters in {size_text(plan.weights)}, {scaled(plan.flops)}FLOP, "
              f"{size_text(plan.arena)} of arena")  # fmt: skip
    if plan.layers:
        show_title("Layers")
        layers = [
            (layer.name, layer.type, layer.steps or "-", scaled(layer.flops).strip() if layer.steps else "-",
             size_text(layer.weights) if layer.steps else "-")
            for layer in plan.layers
        ]  # fmt: skip
        show_table(("layer", "type", "steps", "FLOP", "weights"), layers, right=("steps", "FLOP", "weights"))
    show_title("Steps")
    columns = ("step", "op", "kernel", "layer", "shape", "FLOP", "weights", "written")
    steps = [
        (at, step.op, step.kernel.removeprefix("nx_"), step.layer or "-", _shape(step.shape),
         scaled(step.flops).strip(), size_text(step.weights) if step.weights else "-", size_text(step.written))
        for at, step in enumerate(plan.steps)
    ]  # fmt: skip
    show_table(columns, steps, right=("step", "FLOP", "weights", "written"))
    show_title("Arena")
    _show_arena(plan)


def _show_arena(plan: PlanReport) -> None:
    """Draw one line for each buffer, over the steps that need it."""
    largest = sorted(plan.buffers, key=lambda buffer: -buffer.size)[:_MOST_BARS]
    rows = [buffer for buffer in plan.buffers if buffer in largest]
    longest = min(max((len(buffer.name) for buffer in rows), default=0), _LONGEST_NAME)
    width = chart_width(longest + 24)
    for buffer in rows:
        name = buffer.name if len(buffer.name) <= longest else f"{buffer.name[: longest - 3]}..."
        place = f"{size_text(buffer.offset):>8} {size_text(buffer.size):>8}"
        show_line(f"{name:<{longest}} {place}  |{_life(buffer, len(plan.steps), width)}|")
    show_line(f"{'':<{longest}} {'at':>8} {'size':>8}   over {len(plan.steps)} steps, at the largest dims", style="dim")
    if len(rows) < len(plan.buffers):
        show_line(f"{len(plan.buffers) - len(rows)} smaller buffers are left out; --json has them")


def _life(buffer: BufferReport, steps: int, width: int) -> str:
    """Return the line of one buffer: a column for each step, before the first and behind the last one included."""
    columns = steps + 2
    width = min(width, columns * 3)
    start = (buffer.first + 1) * width // columns
    end = max((buffer.last + 2) * width // columns, start + 1)
    return (" " * start + filled() * (end - start)).ljust(width)[:width]


def _port(port: Port) -> str:
    return f"{port.name}: {port.dtype}{_shape(port.shape)}"


def _shape(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
