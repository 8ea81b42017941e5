"""The backends on which a bundle can run here: the reference, native libraries, WebAssembly, and a GPU if any."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from neurenix import toolchain
from neurenix.bundle.golden import Formula, Golden, Stored
from neurenix.bundle.reader import Bundle
from neurenix.bundle.writer import BASE, memory_pages
from neurenix.dims import evaluate
from neurenix.errors import DeviceError, MissingExtraError, RunError, ToolchainError, UnsupportedError
from neurenix.graph.plan import Plan
from neurenix.phynexus.memory import check_dims
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.wasm import WasmEngine
from neurenix.session import LoadedModel, load_model

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array], Mapping[str, int]], Mapping[str, Array]]

# In the order in which they are shown. A GPU counts only where one is, so that its absence is no news.
DEVICES = ("reference", "cpu", "wasm", "webgpu")
_SILENT = frozenset(["webgpu"])


@dataclass(frozen=True)
class Backend:
    """One way to run a bundle: the device, the compiled form, and the threads that it uses.

    `tolerance` is the largest error of an answer, where the form allows more than the golden cases do.
    """

    device: str
    form: str
    threads: int
    run: Run
    tolerance: float | None = None


@dataclass(frozen=True)
class Absent:
    """A device that this host does not have, and why."""

    device: str
    reason: str


def backend_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --backend: devices to use, all that are here when none is named."""
    return click.option(
        "--backend", "devices", multiple=True, type=click.Choice(DEVICES),
        help="Use this one, and fail where it is not here; may be given several times.",
    )(function)  # fmt: skip


def _dims(ctx: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    pairs = [text.partition("=") for text in texts]
    for text, (_, found, size) in zip(texts, pairs):
        if not found or not (size.isascii() and size.isdigit()):
            raise click.BadParameter(f"{text!r} is no size of a dim: write NAME=SIZE, such as batch=8", ctx, parameter)
    return tuple((name.strip(), int(size)) for name, _, size in pairs)


def dim_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --dim: values for symbolic sizes."""
    return click.option(
        "--dim", "dims", multiple=True, callback=_dims, metavar="NAME=SIZE",
        help="Take this size for a symbol, such as batch=8; the smallest one otherwise.",
    )(function)  # fmt: skip


def chosen_dims(plan: Plan, given: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the sizes of all dims: those given, else the smallest. Raises DimensionError for one out of its range."""
    for name, _ in given:
        if name not in plan.dims:
            known = ", ".join(plan.dims) or "none"
            raise click.BadParameter(f"'{plan.name}' has no dim {name!r}; it has {known}", param_hint="'--dim'")
    dims = {name: low for name, (low, _) in plan.dims.items()} | dict(given)
    check_dims(plan, dims)
    return dims


def backends(bundle: Bundle, devices: Sequence[str] = (), every_form: bool = False) -> Iterator[Backend | Absent]:
    """Yield each backend that is here, the best form of each device first, and what is absent with the reason.

    With `every_form` all the forms that the bundle ships and this host can run follow. A device that is named in
    `devices` and is not here raises DeviceError.
    """
    for device in devices or DEVICES:
        try:
            model = _loaded(bundle, device)
        except (DeviceError, MissingExtraError, ToolchainError, UnsupportedError) as error:
            if devices:
                raise DeviceError(f"backend '{device}': {error}") from error
            if device not in _SILENT:
                yield Absent(device, str(error))
            continue
        yield Backend(device, model.variant, model.threads, _forward(model, device), model.tolerance)
        if every_form:
            yield from (b for b in _FORMS.get(device, _no_more)(bundle) if b.form != model.variant)


def feeds(bundle: Bundle, dims: Mapping[str, int]) -> dict[str, Array]:
    """Return inputs of these dims, made as those of the bundle's first golden case are."""
    case = bundle.golden[0] if bundle.golden else Golden({}, {}, {}, 0.0)
    made = {}
    for name in bundle.plan.inputs:
        buffer = bundle.plan.buffers[name]
        shape = tuple(evaluate(size, dims) for size in buffer.shape)
        source = case.inputs.get(name, Formula(0))
        if isinstance(source, Stored):
            stored = tuple(evaluate(size, case.dims) for size in buffer.shape)
            values = source.values(stored, buffer.dtype.numpy)
            made[name] = np.resize(values, shape) if math.prod(stored) else np.zeros(shape, buffer.dtype.numpy)
        else:
            made[name] = source.values(shape, buffer.dtype.numpy)
    return made


def _loaded(bundle: Bundle, device: str) -> LoadedModel:
    """Load a model where it was asked to be. Raises DeviceError when it fell back to another device."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = load_model(bundle.path, device)
    if _has_left(model, device):
        raise DeviceError(" ".join(str(warning.message) for warning in said))
    for warning in said:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return model


def _forward(model: LoadedModel, device: str) -> Run:
    def run(feeds: Mapping[str, Array], dims: Mapping[str, int]) -> Mapping[str, Array]:
        answers = model.forward(dict(feeds))
        if _has_left(model, device):
            raise RunError(f"'{model.name}' left {device} and answered on {model.device}")
        return answers

    return run


def _has_left(model: LoadedModel, device: str) -> bool:
    """Say whether what was to run on a graphics adapter runs elsewhere."""
    return model.device != device and model.device in DEVICES


def _no_more(bundle: Bundle) -> Iterator[Backend]:
    yield from ()


def _wasm_forms(bundle: Bundle) -> Iterator[Backend]:
    for form in bundle.manifest["variants"]:
        module, pages = bundle.read(form["file"]), memory_pages(bundle.plan)
        engine = WasmEngine(bundle.plan, bundle.weights(), module, bundle.abi, BASE, pages)
        yield Backend("wasm", form["name"], 1, engine.run)


def _native_forms(bundle: Bundle) -> Iterator[Backend]:
    host = toolchain.host_target()
    levels = {v.name: v.level for v in toolchain.TARGETS[host].variants} if host else {}
    for form in bundle.manifest["native"]:
        if form["target"] != host or form["level"] not in levels:
            continue
        bundle.read(form["file"])  # its hash is checked before it is loaded
        library: Path = bundle.path.parent / form["file"]
        if levels[form["level"]] <= cpu_level(library):
            engine = NativeEngine(bundle.plan, bundle.weights(), library, bundle.abi)
            yield Backend("cpu", form["level"], 1, engine.run)


_FORMS: Mapping[str, Callable[[Bundle], Iterator[Backend]]] = {"cpu": _native_forms, "wasm": _wasm_forms}
