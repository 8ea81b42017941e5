"""Prints the C of a map: its expression as a function over vectors or single values, and the loop around it."""

from __future__ import annotations

from collections.abc import Mapping

from neurenix import expr as ex
from neurenix.dtypes import DType
from neurenix.expr.printing import KINDS
from neurenix.graph.plan import Plan, Step

_KINDS = {"f": "float", "i": "integer", "u": "integer", "b": "bool"}  # but for uint64, which no signed number holds


def print_map(step: Step, plan: Plan) -> str:
    """Return the function of one map: vectors where everything is float32, else typed single values."""
    dtypes = [plan.dtype(name) for name in (*step.inputs, step.output)]
    vector = {d.name for d in dtypes} == {"float32"} and ex.vectorises(step.attrs["expr"])
    return _vector(step) if vector else _scalar(step, dtypes)


def include(source: str, defines: Mapping[str, str]) -> str:
    """Return the lines that include a kernel's file with some macros defined."""
    return "\n".join(
        [
            *(f"#define {k} {v}".rstrip() for k, v in defines.items()),
            f'#include "{source}"',
            *(f"#undef {k.partition('(')[0]}" for k in defines),
        ]
    )


def _vector(step: Step) -> str:
    loads = [f"nx_load_n(p{i} + i, count)" if o.walks else f"nx_set(*p{i})" for i, o in enumerate(step.operands)]
    statements, result = ex.print_c(step.attrs["expr"], [f"v{i}" for i in range(len(loads))])
    function, passed = f"{step.kernel}_value", ", ".join(f"p{i}" for i in range(len(loads)))
    pointers = ", ".join(f"const float *p{i}" for i in range(len(loads)))
    body = [
        f"NX_INLINE nx_f32 {function}(nx_int i, nx_int count, {pointers}) {{",
        *(f"  const nx_f32 v{i} = {load};" for i, load in enumerate(loads)),
        *(f"  {s}" for s in statements),
        f"  return {result};",
        "}",
    ]
    defines = _operands(step, ["float"] * len(loads)) | {"NX_MAP(i, count)": f"{function}(i, count, {passed})"}
    return "\n".join([*body, include("map.c", defines)])


def _scalar(step: Step, dtypes: list[DType]) -> str:
    *inputs, out = dtypes
    kinds = ["unsigned" if d.name == "uint64" else _KINDS[d.numpy.kind] for d in inputs]
    width = "double" if any(d.name == "float64" for d in dtypes) else "float"
    names = [f"v{i}" for i in range(len(inputs))]
    statements, result = ex.print_c_scalar(step.attrs["expr"], names, kinds, width)
    function, passed = f"{step.kernel}_value", ", ".join(f"p{i}" for i in range(len(inputs)))
    pointers = ", ".join(f"const {d.c} *p{i}" for i, d in enumerate(inputs))
    ctype = {**KINDS, "float": width}
    elements = [f"nx_get_{d.c}(p{i}[{'i' if o.walks else 0}])" for i, (d, o) in enumerate(zip(inputs, step.operands))]
    body = [
        '#include "nx_types.h"',
        f"NX_INLINE {out.c} {function}(nx_int i, {pointers}) {{",
        *(f"  const {ctype[kind]} v{i} = {element};" for i, (kind, element) in enumerate(zip(kinds, elements))),
        *(f"  {s}" for s in statements),
        f"  return {'(' + result + ') != 0' if out.name == 'bool' else f'nx_put_{out.c}({result})'};",
        "}",
    ]
    defines = _operands(step, [d.c for d in inputs])
    defines |= {"NX_MAP(i)": f"{function}(i, {passed})", "NX_TYPE": out.c}
    return "\n".join([*body, include("map_scalar.c", defines)])


def _operands(step: Step, types: list[str]) -> dict[str, str]:
    params = "".join(f", const {t} *x{i}, nx_int x{i}_0, nx_int x{i}_1, nx_int x{i}_2" for i, t in enumerate(types))
    rows = " ".join(
        f"const {t} *p{i} = x{i} + (a) * x{i}_0 + (b) * x{i}_1 + (c) * x{i}_2;" for i, t in enumerate(types)
    )
    return {"NX_NAME": step.kernel, "NX_MAP_PARAMS": params, "NX_MAP_AT(a, b, c)": rows}
