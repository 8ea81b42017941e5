"""export(): a model of any kind to a finished, verified bundle on disk. The pipeline, readable as prose."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurenix import __version__
from neurenix.bundle.demo import demo_files
from neurenix.bundle.golden import Golden
from neurenix.bundle.shaders import describe_shaders
from neurenix.bundle.writer import (
    BASE,
    Compiled,
    FileReport,
    bundle_files,
    plan_number,
    report_files,
    write_bundle,
)
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.print_custom import print_custom
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wasm_file import check_interface
from neurenix.compiler.wgsl import parse, print_wgsl
from neurenix.errors import InputError, UnsupportedError
from neurenix.frontends import load
from neurenix.frontends.signature import DimSpec
from neurenix.golden_inputs import explained_error, golden_cases
from neurenix.graph.graph import Graph
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import HALF_TOLERANCE, PRECISIONS, ShaderPlan
from neurenix.kernel_check import check_nodes
from neurenix.nn.module import Module
from neurenix.shader_check import check_shader
from neurenix.tensor.input_spec import InputSpec
from neurenix.toolchain import WASM_VARIANTS, compile_c, native_targets
from neurenix.verification import half_error, verify

Say = Callable[[str], None]

TOLERANCE = 1e-4

_INT32 = (-(2**31), 2**31 - 1)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(10))}


@dataclass(frozen=True)
class ExportOptions:
    """What to make: `native` names targets ("host", "x86_64-linux", …), `max_error` bounds the error of any form.

    Left out, forms compiled from C must give the answers as exactly as float32's rounding allows on the golden inputs,
    at most TOLERANCE off; a GPU, and any device that answers them later, within TOLERANCE. What is given holds for all.

    `webgpu` is whether to make shaders: True must, None does where every node has one, and says which has none.
    `webgpu_precision` is what tensors between inputs and outputs are stored as there: with "float16" devices that have
    it take half the memory and multiply in it where that cannot overflow, at its rounding. `shaders` are WGSL that
    stands in for an op's own, as `register_custom_shader` takes it.

    `inputs`, `dims` and `constants` go to `neurenix.frontends.load`.
    """

    inputs: Mapping[str, InputSpec] | None = None
    dims: Mapping[str, DimSpec] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    optimize: bool = True
    quantize: bool | str = False
    simd: bool = True
    threads: bool = True
    native: tuple[str, ...] = ()
    verify: bool = True
    max_error: float | None = None
    demo: bool = False
    webgpu: bool | None = None
    webgpu_precision: str = "float32"
    shaders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportReport:
    """What was made: files with their sizes, and the largest error of each form against the reference.

    `wasm_only` is why there are no shaders, where some were wanted.
    """

    name: str
    directory: Path
    files: tuple[FileReport, ...]
    agreement: Mapping[str, float]
    native_targets: tuple[str, ...]
    wasm_only: str = ""


def export(
    model: Module | Graph | str | os.PathLike[str] | object,
    directory: Path,
    name: str,
    options: ExportOptions | None = None,
    say: Say = lambda line: None,
) -> ExportReport:
    """Compile a model and write its bundle into `directory`, which may hold other models.

    `model` is whatever `neurenix.frontends.load` takes: a Module, a Graph, a file's path, a model of PyTorch.
    Nothing is written unless every compiled form gives the reference's answers. Raises a NeurenixError.
    """
    options = options or ExportOptions()
    check_name(name)
    if options.quantize:
        raise UnsupportedError(f"quantize={options.quantize!r} arrives in a later version; use quantize=False")
    graph = load(model, inputs=options.inputs, dims=options.dims, constants=options.constants, name=name)
    graph = replace(graph, name=name)
    say(f"{name}: {len(graph.nodes)} operations traced")
    if not graph.inputs:
        raise InputError(f"the model '{name}' has no input and always answers the same: a bundle needs one that has")
    _check_labels(options.labels, graph)
    plan, weights = schedule(passes.run(graph, options.optimize), tuple(options.labels), options.threads)
    shaders, wasm_only = print_shaders(plan, weights, options, say)
    cases = golden_cases(graph, plan, TOLERANCE if options.max_error is None else options.max_error)
    if shaders is not None and (beyond := _beyond_ends(plan, shaders, cases)):
        shaders, wasm_only = _without_shaders(plan, beyond, options, say)
    if options.verify and shaders is not None:
        shaders = with_near_half(plan, weights, shaders, cases, say)
    number = plan_number(plan, None if shaders is None else describe_shaders(name, shaders))
    source = print_c(plan, number)
    if options.verify:
        for case in cases[:: max(1, len(cases) - 1)]:  # the first and the last: the smallest sizes, and larger ones
            check_nodes(graph, case.feeds(plan), case.dims, shaders=shaders is not None)
    compiled = compile_forms(plan, source, options, say)
    agreement: Mapping[str, float] = {}
    if options.verify:
        limit = cases[0].tolerance
        if options.max_error is None:
            limit = min(limit, explained_error(graph, plan, cases))
        agreement = verify(plan, weights, compiled, cases, number, shaders, limit)
        found = ", ".join(f"{form} {error:.1e}" for form, error in agreement.items())
        wider = f", on a GPU {cases[0].tolerance:.0e}" if "webgpu" in agreement and limit < cases[0].tolerance else ""
        say(f"{name}: largest error {found}; the limit is {limit:.0e}{wider}")
    files = bundle_files(plan, weights, source, compiled, cases, f"neurenix {__version__}", shaders)
    if options.demo:
        files |= demo_files(plan)
    write_bundle(files, Path(directory))
    targets = tuple(dict.fromkeys(c.target for c in compiled if c.target is not None))
    return ExportReport(name, Path(directory), report_files(files), agreement, targets, wasm_only)


def print_shaders(
    plan: Plan, weights: bytes, options: ExportOptions, say: Say = lambda line: None
) -> tuple[ShaderPlan | None, str]:
    """Print the plan for WebGPU; where a node has no shader, return none and why.

    Raises UnsupportedError, naming the node, where the options insist on shaders.
    """
    if options.webgpu is False:
        return None, ""
    if options.webgpu_precision not in PRECISIONS:
        raise InputError(f"webgpu_precision={options.webgpu_precision!r} is not one of {', '.join(PRECISIONS)}")
    custom = [parse(op, source) for op, source in options.shaders.items()]
    try:
        shaders = print_wgsl(plan, weights, custom)
    except UnsupportedError as error:
        return _without_shaders(plan, str(error), options, say)
    if options.webgpu_precision == "float16":
        half = print_wgsl(plan, weights, custom, half=True)
        shaders = replace(shaders, half=replace(half, tolerance=HALF_TOLERANCE))
    for shader in custom if options.verify else ():
        say(f"{plan.name}: proving the shader registered for {shader.op}")
        check_shader(shader)
    return shaders, ""


def with_near_half(
    plan: Plan, weights: bytes, shaders: ShaderPlan, cases: Sequence[Golden], say: Say = lambda line: None
) -> ShaderPlan:
    """Return shaders whose products stored as float16 compute in float32, where the error that this host's adapter
    shows leaves none for others: more than half of the tolerance. What storage alone does is for the proof to judge."""
    if shaders.half is None:
        return shaders
    error = half_error(plan, weights, shaders, cases)
    if error <= HALF_TOLERANCE / 2:
        return shaders
    say(f"{plan.name}: products in float16 are off by {error:.1e}: they compute in float32")
    half = print_wgsl(plan, weights, half=True, half_products=False)
    return replace(shaders, half=replace(half, tolerance=HALF_TOLERANCE))


def _without_shaders(plan: Plan, reason: str, options: ExportOptions, say: Say) -> tuple[None, str]:
    """Say why there are none; raise UnsupportedError where the options insist on them."""
    if options.webgpu:
        raise UnsupportedError(f"{reason}; leave 'webgpu' out to make shaders only where they can answer") from None
    say(f"{plan.name}: no WebGPU: {reason}")
    return None, reason


def _beyond_ends(plan: Plan, shaders: ShaderPlan, cases: Sequence[Golden]) -> str:
    """Return why a GPU could not answer what inputs usually are, which golden inputs are like; or an empty text."""
    ends = {n: _INT32 for n in plan.inputs if plan.buffers[n].dtype.numpy.kind in "iu"}
    for case in cases:
        feeds = case.feeds(plan)
        for name, (least, most) in {**ends, **shaders.inputs}.items():
            values = feeds[name]
            if values.size and not least <= int(values.min()) <= int(values.max()) <= most:
                return (
                    f"the input '{name}' reaches from {values.min()} to {values.max()}, and what the model makes of it "
                    f"is only shown to fit a GPU's 32 bits from {least} to {most}: use int32, or clip it"
                )
    return ""


def compile_forms(plan: Plan, source: str, options: ExportOptions, say: Say = lambda line: None) -> list[Compiled]:
    """Compile the printed C for every WebAssembly variant and native target that the options ask for."""
    forms, units = [], print_custom(plan)
    wanted = [v for v in WASM_VARIANTS.values() if options.simd or v.level == 0]
    for variant in sorted(wanted, key=lambda v: -v.level):
        say(f"{plan.name}: compiling {variant.name}.wasm")
        file = f"{plan.name}.{variant.name}.wasm"
        content = compile_c(source, variant, "model.wasm", units=units)
        check_interface(content, file, BASE)
        forms.append(Compiled(variant.name, file, content))
    for target in native_targets(options.native):
        for variant in target.variants:
            say(f"{plan.name}: compiling for {variant.name}")
            file = f"{plan.name}.{variant.name}{target.suffix}"
            content = compile_c(source, variant, f"model{target.suffix}", units=units)
            forms.append(Compiled(variant.name, file, content, target.name))
    return forms


def check_name(name: str) -> None:
    """Raise InputError unless a model's name is safe as a file name and in a URL everywhere."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _DEVICE_NAMES:
        raise InputError(
            f"the model name {name!r} must match [a-z][a-z0-9_-]* with at most 64 characters, as in 'my_model'"
        )


def _check_labels(labels: Sequence[str], graph: Graph) -> None:
    name = graph.outputs[0]
    entries = graph.values[name].shape[-1:]
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"labels must be a list of texts, got {labels!r}")
    if labels and (len(labels),) != entries:
        raise InputError(
            f"labels: {len(labels)} for the {entries[0] if entries else 'no'} entries of the last axis of '{name}' of "
            f"'{graph.name}' -- write one for each, in their order"
        )


def as_options(**given: Any) -> ExportOptions:
    """Return ExportOptions from keyword arguments, leaving out those that are None."""
    return ExportOptions(**{k: v for k, v in given.items() if v is not None})
