"""A Launch: what one step of a plan becomes on a GPU, before its shader's text is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neurenix.compiler.wgsl.expressions import function
from neurenix.compiler.wgsl.source import Binding
from neurenix.compiler.wgsl.types import storage
from neurenix.dims import Size, bounds
from neurenix.dtypes import dtype
from neurenix.graph.plan import Plan, Step
from neurenix.graph.shaders import Grid

THREADS = 64  # invocations of a workgroup, unless a template says otherwise
OUTPUT, SCRATCH = "y", "scratch"
SUBGROUPS = "subgroups"


def joining(across: int) -> dict[str, Any]:
    """Return the words of a template whose rows are shared by so many invocations, 1 for those that are not."""
    return {"across": across, **({SUBGROUPS: False} if across > 1 else {})}


@dataclass(frozen=True)
class Launch:
    """A template of kernels/wgsl with its words; what it is bound to; its params by name; how many workgroups it takes.

    `functions` are of the step's own expressions; `scratch` is how many floats it may scribble on, through a binding
    to the tensor of each name; these begin with SCRATCH. `text` is a whole shader, in place of a template. A template
    that has another text for devices with subgroups has SUBGROUPS among its words.
    """

    template: str
    bindings: tuple[Binding, ...]
    params: Mapping[str, Size]
    groups: Size | Grid
    words: Mapping[str, Any] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    scratch: Mapping[str, Size] = field(default_factory=dict)
    text: str = ""

    def with_subgroups(self) -> Launch | None:
        """Return the same launch for a device with subgroups; None where that is no other one."""
        return replace(self, words={**self.words, SUBGROUPS: True}) if SUBGROUPS in self.words else None


def groups_of(count: Size, each: int = THREADS) -> Size:
    """Return how many workgroups cover so many elements."""
    return (count + (each - 1)) // each


def most(size: Size, plan: Plan) -> int:
    """Return the largest value that a size has."""
    return bounds(size, plan.dims)[1]


def lanes_of(*sizes: Size) -> int:
    """Return 4 where all of these sizes are known to be multiples of 4: then vectors of 4 are read and written."""
    return 4 if all(isinstance(s, int) and s % 4 == 0 for s in sizes) else 1


def element(name: str, plan: Plan, lanes: int = 1) -> str:
    """Return the WGSL type of a tensor's elements, `lanes` of them together."""
    found = storage(plan.dtype(name))
    assert found is not None, f"'{name}' was checked before"
    return f"vec4<{found}>" if lanes == 4 else found


def reads(variable: str, tensor: str, plan: Plan, lanes: int = 1) -> Binding:
    return Binding(variable, tensor, element(tensor, plan, lanes))


def writes(step: Step, plan: Plan, lanes: int = 1) -> Binding:
    return Binding(OUTPUT, step.output, element(step.output, plan, lanes), writes=True)


def epilogue(step: Step, plan: Plan, lanes: int = 1) -> tuple[str, tuple[Binding, ...]]:
    """Return the function that finishes one value, `epilogue(value, at, col)`, and what it is bound to.

    With 4 lanes it takes and returns vectors of 4 elements that lie side by side, and reads such.
    """
    of = element(step.output, plan, lanes)
    head = f"fn epilogue(x0: {of}, at: i32, col: i32) -> {of}"
    if step.epilogue is None:
        return f"{head} {{ return x0; }}", ()
    names = step.epilogue.inputs
    by = f" / {lanes}" if lanes > 1 else ""
    loads = [f"  let x{i} = e{i}[{_place(name, plan)}{by}];\n" for i, name in enumerate(names, start=1)]
    operands = [f"x{i}" for i in range(len(names) + 1)]
    body = function("finish_value", step.epilogue.expr, operands, ["f32"] * len(operands), dtype("float32"))
    parts = [f".{axis}" for axis in "xyzw"] if lanes == 4 else [""]
    calls = [f"finish_value({', '.join(f'{o}{part}' for o in operands)})" for part in parts]
    value = calls[0] if lanes == 1 else f"{of}({', '.join(calls)})"
    text = f"{body}\n\n{head} {{\n{''.join(loads)}  return {value};\n}}"
    return text, tuple(reads(f"e{i}", name, plan, lanes) for i, name in enumerate(names, start=1))


def _place(name: str, plan: Plan) -> str:
    by_channel = name in plan.tensors and plan.tensors[name].layout == "pad8"
    return "col" if by_channel else "at"


def named(sizes: Mapping[str, Size], names: Sequence[str] | str) -> dict[str, Size]:
    """Return some of a step's sizes, in this order."""
    return {name: sizes[name] for name in (names.split() if isinstance(names, str) else names)}
