"""Prints the units of custom ops: a user's source between what its kernel is compiled with and the call that it gets.

Each function that the plan calls is a unit of its own, so that nothing in two sources can clash. In C the unit declares
the function before the source defines it: a body for other arguments does not compile. In Zig a root of ours, with the
arguments written out, calls the source's `kernel`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from neurenix import ops
from neurenix.graph.plan import Plan, Step
from neurenix.ops.user_source import UserSource
from neurenix.resources import resource
from neurenix.toolchain import Unit

_ZIG_TYPES = {"float": "f32", "double": "f64"} | {
    f"{s}int{b}_t": f"{s or 'i'}{b}" for s in ("u", "") for b in (8, 16, 32, 64)
}

_C = """\
// The kernel of the custom op '{op}'. Printed by Neurenix, but for the source from '#line' on.

#include "nx_host.h"
{macros}
{signature};
#pragma clang diagnostic error "-Wmissing-prototypes"
#pragma clang diagnostic error "-Wmissing-variable-declarations"
#line 1 "{file}"
{text}
"""

_ZIG = """\
//! Calls the kernel of the custom op '{op}'. Printed by Neurenix.

const nx = @import("nx");
const source = @import("source");

pub const panic = @import("std").debug.no_panic;

fn run(thread: nx.Int, threads: nx.Int{params}) callconv(.c) void {{
    source.kernel(.{{ .thread = thread, .threads = threads }}{arguments});
}}

comptime {{
    if (!@hasDecl(source, "kernel")) @compileError("{file} must have a 'pub fn kernel'");
    @export(&run, .{{ .name = "{symbol}", .visibility = .hidden }});
}}
"""


def print_custom(plan: Plan) -> tuple[Unit, ...]:
    """Return the units of all custom ops' kernels, if a plan has any. Raises UnsupportedError as print_c does."""
    ops.custom.require(plan.custom)
    steps = {step.kernel: step for step in plan.steps if step.op in plan.custom}
    return tuple(_PRINTERS[ops.custom.source_of(ops.get(step.op)).language](step, plan) for step in steps.values())


def signature(step: Step, plan: Plan) -> str:
    """Return the declaration of a custom op's function."""
    *inputs, out = _types(step, plan)
    part = ["nx_int"] * 2 if takes_numbers(step) else ["nx_part"]
    types = [*part, *["nx_int"] * len(step.sizes), *(f"const {of} *" for of in inputs), f"{out} *"]
    return f"void {step.kernel}({', '.join(types)})"


def takes_numbers(step: Step) -> bool:
    """Say whether a custom op's function takes the two numbers of its part instead of the struct: a root in Zig does.

    How a struct is passed differs from platform to platform.
    """
    return step.op not in ops.OPS and ops.custom.source_of(ops.get(step.op)).language == "zig"


def _types(step: Step, plan: Plan) -> list[str]:
    return [plan.dtype(name).c for name in (*step.inputs, step.output)]


def _c(step: Step, plan: Plan) -> Unit:
    source = ops.custom.source_of(ops.get(step.op))
    *inputs, out = _types(step, plan)
    defines = {"NX_NAME": step.kernel, **ops.custom.macros(source, step.attrs)}
    defines |= {f"NX_TYPE_{at}": of for at, of in enumerate(inputs)} | {"NX_TYPE": out}
    macros = "\n".join(f"#define {name} {value}" for name, value in defines.items())
    text = _C.format(
        op=step.op, macros=macros, signature=signature(step, plan), file=_file(source), text=source.text,
    )  # fmt: skip
    return Unit(f"{step.kernel}.c", text)


def _zig(step: Step, plan: Plan) -> Unit:
    source = ops.custom.source_of(ops.get(step.op))
    *inputs, out = (_ZIG_TYPES[of] for of in _types(step, plan))
    params = "".join(f", s{at}: nx.Int" for at in range(len(step.sizes)))
    params += "".join(f", x{at}: [*]const {of}" for at, of in enumerate(inputs)) + f", y: [*]{out}"
    arguments = "".join(f", s{at}" for at in range(len(step.sizes)))
    arguments += "".join(f", x{at}" for at in range(len(inputs))) + ", y"
    root = _ZIG.format(op=step.op, params=params, arguments=arguments, file=source.file, symbol=step.kernel)
    nx = resource("kernels", "zig").joinpath("nx.zig").read_text(encoding="utf-8")
    attrs = _zig_attrs(source, step.attrs) + "".join(
        f"pub const {name} = {of};\n" for name, of in [*((f"T{at}", of) for at, of in enumerate(inputs)), ("T", out)]
    )
    return Unit(
        f"{step.kernel}.zig", root,
        {"source": (_file(source), source.text), "nx": ("nx.zig", nx), "op": (f"{step.kernel}_op.zig", attrs)},
    )  # fmt: skip


def _zig_attrs(source: UserSource, attrs: Mapping[str, Any]) -> str:
    """Return the module `op`: the attributes as constants."""
    real = "f64" if source.wide else "f32"
    lines = []
    for name, value in attrs.items():
        if isinstance(value, tuple):
            of = real if any(isinstance(v, float) for v in value) else "i64"
            written = f"[_]{of}{{ {', '.join(map(_zig_literal, value))} }}"
        else:
            written = _zig_literal(float(value) if isinstance(source.attrs.get(name), float) else value)
        lines.append(f'pub const @"{name}" = {written};\n')
    return "".join(lines)


def _zig_literal(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _file(source: UserSource) -> str:
    """Return what compilers call the source: its op and its file, so that a message names both."""
    return json.dumps(f"{source.op}/{source.file}")[1:-1]


_PRINTERS = {"c": _c, "zig": _zig}
