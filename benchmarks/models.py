"""Real models beside onnxruntime on the CPU, one thread each: milliseconds natively and in wasmtime, errors, sizes."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from neurenix.bundle.writer import BASE, memory_pages, plan_number
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.phynexus.native import NativeEngine, cpu_level
from neurenix.phynexus.wasm import WasmEngine
from neurenix.toolchain import TARGETS, WASM_VARIANTS, compile_c, compiled_file, host_target

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "peers"))

from real_models import MODELS, RealModel

HEAD = f"{'model':<14} {'kernels':>7} {'weights':>9} {'wasm':>8} {'load':>6} {'sizes':<34} " \
       f"{'onnxrt':>8} {'native':>8} {'wasm':>8}   largest error"  # fmt: skip


def best(calls: dict[str, Callable[[], object]], seconds: float = 1.0) -> dict[str, float]:
    """Return the least milliseconds of each call. They take turns, so that a busy moment falls on all of them."""
    found = dict.fromkeys(calls, float("inf"))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name] = min(found[name], 1e3 * (time.perf_counter() - start))
    return found


def measure(model: RealModel) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.onnx(), options)
    start = time.perf_counter()
    graph = model.graph()
    loading = time.perf_counter() - start
    plan, weights = schedule(passes.run(graph))
    abi = plan_number(plan)
    source, target = print_c(plan, abi), TARGETS[str(host_target())]
    libraries = (compiled_file(source, v, f"model{target.suffix}") for v in target.variants)
    levels = {v.name: v.level for v in target.variants}
    library = next(x for x, level in zip(libraries, levels.values()) if level <= cpu_level(x))
    module = compile_c(source, WASM_VARIANTS["relaxed"], "model.wasm")
    native = NativeEngine(plan, weights, library, abi)
    wasm = WasmEngine(plan, weights, module, abi, BASE, memory_pages(plan))
    fixed = {name: np.array(value, np.int64) for name, value in model.fixed.items()}
    for at, sizes in enumerate(model.sizes):
        feeds = model.feeds(sizes, np.random.default_rng(0))
        expected = session.run(None, {**feeds, **fixed})
        error = max(
            float(np.max(np.abs(a - e) / np.maximum(1, np.abs(e)), initial=0))
            for engine in (native, wasm) for a, e in zip(engine.run(feeds, sizes).values(), expected)
        )  # fmt: skip
        times = best({
            "onnxruntime": lambda f=feeds: session.run(None, {**f, **fixed}),
            "native": lambda f=feeds, s=sizes: native.run(f, s),
            "wasm": lambda f=feeds, s=sizes: wasm.run(f, s),
        })  # fmt: skip
        whose = f"{model.name:<14} {len(plan.steps):>7} {len(weights) / 1e6:>6.2f} MB {len(module) / 1e3:>5.1f} kB " \
                f"{loading:>4.1f} s"  # fmt: skip
        text = ", ".join(f"{k}={v}" for k, v in sizes.items())
        print(f"{whose if at == 0 else '':<48} {text:<34}", *(f"{t:>8.2f}" for t in times.values()), f"  {error:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="model", help=f"some of {', '.join(MODELS)}; all by default")
    names = parser.parse_args().names or list(MODELS)
    warnings.simplefilter("ignore")  # the exporter's own deprecations
    print(HEAD)
    for name in names:
        measure(MODELS[name])


if __name__ == "__main__":
    main()
