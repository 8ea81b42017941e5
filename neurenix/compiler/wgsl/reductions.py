"""Launches of what goes along an axis: reductions, scans, sorting, softmax and norms, and recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurenix.compiler.wgsl.expressions import literal
from neurenix.compiler.wgsl.launch import (
    OUTPUT,
    SCRATCH,
    Launch,
    element,
    epilogue,
    groups_of,
    joining,
    lanes_of,
    most,
    named,
    reads,
    writes,
)
from neurenix.compiler.wgsl.source import Binding
from neurenix.compiler.wgsl.types import FLOAT, narrowed
from neurenix.dims import Size
from neurenix.errors import UnsupportedError
from neurenix.graph.plan import Plan, Step

# From how many elements on invocations share a row: below, one for each row is quicker. And from where on it takes the
# whole workgroup: of shorter rows there are several in one.
SHARED_ROW, SHARED_COLUMN, WHOLE_ROW = 32, 1024, 1024
# Shorter rows that are only compared are quicker by themselves.
COMPARED_ROW = 256
# A scan of this many elements is shared by a workgroup, unless so many rows keep a GPU busy by themselves.
SHARED_SCAN, MOST_SHARED_ROWS = 256, 1 << 14
# The longest axis that is sorted by counting: twice as many take four times as long, and a GPU's watchdog is no
# friend of long dispatches.
MOST_SORTED = 16384


@dataclass(frozen=True)
class Reduction:
    """What a reduction does to an element `x`, to two values `a` and `b`, and to the end `a` of `n` elements, in WGSL.

    `init` is what none make, for each type alike; None starts from the first element.
    """

    each: str = "x"
    combine: str = "a + b"
    init: str | None = "0"
    finish: str = "a"


_REDUCTIONS = {
    "sum": Reduction(),
    "mean": Reduction(finish="a / f32({count})"),
    "prod": Reduction(combine="a * b", init="1"),
    "max": Reduction(combine="{larger}", init=None),
    "min": Reduction(combine="{smaller}", init=None),
    "any": Reduction("select(0, 1, {true})", "a | b"),
    "all": Reduction("select(0, 1, {true})", "a & b", "1"),
    "l1_norm": Reduction("abs(x)"),
    "l2_norm": Reduction("x * x", finish="sqrt(a)"),
    "sum_square": Reduction("x * x"),
}
_CHOICES = {
    True: {"true": "nx_nonzero(x)", "larger": "nx_max(a, b)", "smaller": "nx_min(a, b)"},
    False: {"true": "x != 0", "larger": "max(a, b)", "smaller": "min(a, b)"},
}


def launch_reduce(step: Step, plan: Plan) -> Launch:
    sizes, row = step.sizes, _REDUCTIONS[step.op]
    type_in, made = element(step.inputs[0], plan), element(step.output, plan)
    correction = int(step.attrs.get("correction", 0))
    choices = {**_CHOICES[type_in == FLOAT], "count": f"max(n - {correction}, 0)" if correction else "n"}
    words = {
        "type_in": type_in, "type": made, "init": None if row.init is None else f"{made}({row.init})",
        **{name: getattr(row, name).format(**choices) for name in ("each", "combine", "finish")},
    }  # fmt: skip
    words["finish"] = narrowed(plan.dtype(step.output), str(words["finish"]))
    across = _sharing(sizes["n"], plan, SHARED_ROW if sizes["inner"] == 1 else SHARED_COLUMN)
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    groups = groups_of(sizes["outer"] * sizes["inner"], 64 // across)
    return Launch("reduce", bound, dict(sizes), groups, {**words, **joining(across)})


def _sharing(length: Size, plan: Plan, least: int = SHARED_ROW) -> int:
    """Return how many invocations share a row of so many elements."""
    longest = most(length, plan)
    return 1 if longest < least else 16 if longest < WHOLE_ROW else 64


def launch_arg_reduce(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    across = _sharing(sizes["n"], plan, COMPARED_ROW if sizes["inner"] == 1 else SHARED_COLUMN)
    words = {
        "type_in": element(step.inputs[0], plan), "beats": ">" if step.op == "argmax" else "<", **joining(across),
    }  # fmt: skip
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    groups = groups_of(sizes["outer"] * sizes["inner"], 64 // across)
    return Launch("arg_reduce", bound, dict(sizes), groups, words)


def launch_scan(step: Step, plan: Plan) -> Launch:
    sizes, made = step.sizes, element(step.output, plan)
    adds = step.op == "cumsum"
    compensated = adds and made == FLOAT
    words = {
        "type": made, "init": 0 if adds else 1, "join": "+" if adds else "*", "compensated": compensated,
        "result": narrowed(plan.dtype(step.output), "carry + lost" if compensated else "carry"),
        "exclusive": bool(step.attrs["exclusive"]), "reverse": bool(step.attrs["reverse"]),
    }  # fmt: skip
    rows = sizes["outer"] * sizes["inner"]
    words["shared"] = most(sizes["n"], plan) >= SHARED_SCAN and most(rows, plan) < MOST_SHARED_ROWS
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    return Launch("scan", bound, dict(sizes), rows if words["shared"] else groups_of(rows), words)


def launch_linear_scan(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    words: dict[str, Any] = {name: bool(step.attrs[name]) for name in ("exclusive", "reverse", "late")}
    words["kept"] = narrowed(plan.dtype(step.output), "%s")
    bound = (reads("a", step.inputs[0], plan), reads("b", step.inputs[1], plan), writes(step, plan))
    return Launch("linear_scan", bound, dict(sizes), groups_of(sizes["outer"] * sizes["inner"]), words)


def launch_argsort(step: Step, plan: Plan) -> Launch:
    sizes = step.sizes
    if most(sizes["n"], plan) > MOST_SORTED:
        raise UnsupportedError(f"sorts {most(sizes['n'], plan)} elements; its shader takes {MOST_SORTED} at most")
    rows = step.op == "argsort_rows"
    words = {
        "type_in": element(step.inputs[0], plan), "descending": bool(step.attrs.get("descending", False)), "rows": rows,
    }  # fmt: skip
    items = sizes["n"] if rows else sizes["outer"] * sizes["n"] * sizes["inner"]
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    return Launch("argsort", bound, dict(sizes), groups_of(items), words)


def launch_softmax(step: Step, plan: Plan) -> Launch:
    sizes, across = step.sizes, _sharing(step.sizes["N"], plan)
    words = {"logarithm": step.op == "log_softmax", **joining(across)}
    bound = (reads("x", step.inputs[0], plan), writes(step, plan))
    return Launch("softmax", bound, dict(sizes), groups_of(sizes["rows"], 64 // across), words)


def launch_standardize(step: Step, plan: Plan) -> Launch:
    sizes, lanes = step.sizes, lanes_of(step.sizes["N"])
    across = _sharing(sizes["N"], plan, least=0)
    text, more = epilogue(step, plan, lanes)
    words = {
        "centred": step.op == "standardize", "eps": literal(float(step.attrs["eps"])), "lanes": lanes,
        **joining(across),
    }  # fmt: skip
    bound = (reads("x", step.inputs[0], plan, lanes), *more, writes(step, plan, lanes))
    return Launch("standardize", bound, dict(sizes), groups_of(sizes["rows"], 64 // across), words, (text,))


_GATES = {"rnn": (1, 1), "lstm": (4, 2), "gru": (3, 1)}
_INPUTS = {
    "rnn": ("x", "r", "h0", "lengths"),
    "lstm": ("x", "r", "h0", "c0", "lengths"),
    "gru": ("x", "r", "b", "h0", "lengths"),
}


def launch_recurrent(step: Step, plan: Plan) -> Launch:
    """Return the launch of a recurrent layer: one workgroup for each sequence, all steps in one dispatch."""
    sizes, cell = step.sizes, step.op
    gates, states = _GATES[cell]
    linear = bool(step.attrs.get("linear_before_reset", True))
    words = {
        "cell": cell, "gates": gates, "states": states, "linear": linear,
        "activation": step.attrs.get("activation", "tanh"),
    }  # fmt: skip
    bound = [reads(variable, name, plan) for variable, name in zip(_INPUTS[cell], step.inputs)]
    scratch: dict[str, Size] = {}
    if cell == "gru" and not linear:
        scratch[SCRATCH] = sizes["N"] * sizes["H"]
        bound.append(Binding(SCRATCH, SCRATCH, FLOAT, writes=True))
    bound.append(Binding(OUTPUT, step.output, FLOAT, writes=True))
    params = named(sizes, [name for name in sizes if name != "chunk"])
    return Launch("recurrent", tuple(bound), params, sizes["N"], words, scratch=scratch)
