"""What compiled code that fails says in Python: the code that browsers give it, and engines that go on afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from op_cases import ABI, WASM

from neurenix.bundle.writer import BASE, memory_pages
from neurenix.compiler import passes
from neurenix.compiler.print_c import print_c
from neurenix.compiler.schedule import schedule
from neurenix.dims import Dim
from neurenix.dtypes import DTYPES
from neurenix.errors import RunError
from neurenix.graph.builder import GraphBuilder
from neurenix.phynexus.native import NativeEngine
from neurenix.phynexus.wasm import WasmEngine
from neurenix.toolchain import TARGETS, WASM_VARIANTS, compile_c, host_target

# For three rows the code gives up, and for four it stops where nothing may go on; one row is multiplied by a weight.
GIVE_UP = "  if (given_n == 3) return 5;\n  if (given_n == 4) { weights = 0; __builtin_trap(); }\n"


def engine(form: str, folder: Path) -> Any:
    """Return an engine for y = x * weight whose code has been made to fail for some sizes."""
    builder = GraphBuilder("doomed", {"n": (1, 8)})
    x = builder.input("x", DTYPES["float32"], (Dim.symbol("n"), 2))
    y = builder.add("mul", [x, builder.constant(np.array([2, 3], np.float32))], {})
    plan, weights = schedule(passes.run(builder.finish({"y": y}), True))
    start = "  const nx_part part = {thread, threads};\n"
    source = print_c(plan, ABI)
    assert 1 == source.count(start)
    source = source.replace(start, GIVE_UP + start)
    if form == "wasm":
        module = compile_c(source, WASM_VARIANTS[WASM[0]], "model.wasm")
        return WasmEngine(plan, weights, module, ABI, BASE, memory_pages(plan))
    target = TARGETS[host_target() or ""]
    library = folder / f"doomed{target.suffix}"
    library.write_bytes(compile_c(source, min(target.variants, key=lambda v: v.level), f"model{target.suffix}"))
    return NativeEngine(plan, weights, library, ABI)


FORMS = [
    pytest.param("native", marks=pytest.mark.zig),
    pytest.param("wasm", marks=[pytest.mark.zig, pytest.mark.wasm]),
]


def run(made: Any, rows: int) -> list[list[float]]:
    rows_of_y: list[list[float]] = made.run({"x": np.ones((rows, 2), np.float32)}, {"n": rows})["y"].tolist()
    return rows_of_y


@pytest.mark.parametrize("form", FORMS)
def test_a_status_is_an_error_with_the_sizes_and_the_next_call_is_right(form: str, tmp_path: Path) -> None:
    made = engine(form, tmp_path)
    with pytest.raises(RunError, match=r"'doomed' gave up with status 5 for n=3: ") as error:
        run(made, 3)
    assert "run_failed" == error.value.code
    assert [[2.0, 3.0]] * 2 == run(made, 2)


@pytest.mark.zig
@pytest.mark.wasm
def test_a_trap_is_an_error_and_the_next_call_is_right(tmp_path: Path) -> None:
    made = engine("wasm", tmp_path)
    with pytest.raises(RunError, match=r"'doomed' stopped inside WebAssembly; the next call starts afresh: "):
        run(made, 4)
    assert [[2.0, 3.0]] * 2 == run(made, 2)
