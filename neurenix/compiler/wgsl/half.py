"""Rewrites a shader so that tensors are stored as float16: what is read widens to float32, what is written is rounded.

A model's inputs and outputs stay float32, and so does what shaders scribble on: half the memory and half of what
travels, at float16's rounding of every tensor between. A number beyond its largest becomes that. Arithmetic is float32
but in products that half_products.py has proved: their templates read some variables `raw`, and widen them themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from neurenix.compiler.wgsl.launch import SCRATCH, Launch
from neurenix.compiler.wgsl.source import Binding
from neurenix.errors import UnsupportedError
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import LARGEST_HALF

ENABLE = "enable f16;\n\n"
_TYPES = {"f32": "f16", "vec4<f32>": "vec4<f16>"}
# What rounds: NaN and infinities, told by their bits, stay what they are.
_ROUNDS = {"f32": "nx_half", "vec4<f32>": "nx_half4"}
_FUNCTIONS = {
    kind: f"""fn {_ROUNDS[kind]}(x: {kind}) -> {_TYPES[kind]} {{
  let special = (bitcast<{bits}>(x) & {bits}(0x7fffffffu)) >= {bits}(0x7f800000u);
  return {_TYPES[kind]}(select(clamp(x, {kind}(-{LARGEST_HALF}.0), {kind}({LARGEST_HALF}.0)), x, special));
}}

"""
    for kind, bits in (("f32", "u32"), ("vec4<f32>", "vec4<u32>"))
}


def half_tensors(plan: Plan) -> frozenset[str]:
    """Return the names of the tensors that are stored as float16: parameters, and what is made on the way."""
    names = {*plan.tensors, *(step.output for step in plan.steps)} - {*plan.inputs, *plan.results}
    return frozenset(name for name in names if plan.dtype(name).name == "float32")


def as_half(launch: Launch, halves: frozenset[str]) -> tuple[Launch, Mapping[str, str]]:
    """Return a launch whose bindings to these tensors hold float16, and the type that each of those had by variable,
    but for those that its template reads raw.

    Raises UnsupportedError for a shader that a user wrote: its contract is float32.
    """
    if launch.text:
        raise UnsupportedError("is a shader of your own, which reads and writes float32")
    held = {b.variable: b.type for b in launch.bindings if stored_as_half(b, halves)}
    bindings = tuple(replace(b, type=_TYPES[b.type]) if b.variable in held else b for b in launch.bindings)
    raw = launch.words.get("raw", ())
    return replace(launch, bindings=bindings), {v: kind for v, kind in held.items() if v not in raw}


def stored_as_half(binding: Binding, halves: frozenset[str]) -> bool:
    """Say whether a binding is to a tensor that is stored as float16, where these are."""
    return binding.tensor in halves and binding.type in _TYPES and not binding.tensor.startswith(SCRATCH)


def converted(text: str, held: Mapping[str, str]) -> str:
    """Return a whole shader that widens what it reads through these variables, and rounds what it writes."""
    if not held:
        return ENABLE + text if re.search(r"\bf16\b", text) else text
    bare = re.sub(r" *//[^\n]*", "", text)  # what a comment says is no code
    code = "".join(_converted(bare, held))
    rounds = (text for kind, text in _FUNCTIONS.items() if f"{_ROUNDS[kind]}(" in code)
    return ENABLE + "".join(rounds) + code


def _converted(text: str, held: Mapping[str, str]) -> Iterator[str]:
    found = re.compile(rf"(?<![\w.])({'|'.join(held)})\[")
    at = 0
    while (use := found.search(text, at)) is not None:
        yield text[at : use.start()]
        kind = held[use[1]]
        end = _closing(text, use.end())
        element = f"{use[1]}[{''.join(_converted(text[use.end() : end], held))}]"
        assigned = re.compile(r"\s*=(?!=)\s*").match(text, end + 1)
        assert not re.match(r"(\.\w+)?\s*[-+*/|&]?=(?!=)", text[end + 1 :]) or assigned, "elements are written whole"
        if assigned is None:
            yield f"{kind}({element})"
            at = end + 1
            continue
        at = text.index(";", assigned.end())
        value = "".join(_converted(text[assigned.end() : at], held))
        yield f"{element} = {_ROUNDS[kind]}({value})"
    yield text[at:]


def _closing(text: str, at: int) -> int:
    """Return where the bracket closes whose contents begin at `at`."""
    depth = 1
    while depth:
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        at += 1
    return at - 1
