"""Puts a shader's text together: the functions that it calls, its bindings, and its template of kernels/wgsl."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neurenix.resources import resource


@dataclass(frozen=True)
class Binding:
    """A storage buffer of a shader: its variable, the tensor that it is bound to, its elements' type, its access."""

    variable: str
    tensor: str
    type: str
    writes: bool = False


def shader_text(
    template: str, words: Mapping[str, Any], bindings: Sequence[Binding], params: Sequence[str], own: Sequence[str]
) -> str:
    """Return one shader, complete: it stands alone in its module, and its entry point is `main`."""
    body = "\n\n".join([*own, _environment().get_template(f"{template}.wgsl.jinja").render(words).strip()])
    head = []
    if params:
        head.append("struct Params { " + ", ".join(f"{name}: i32" for name in params) + " }")
    for i, b in enumerate(bindings):
        access = "read_write" if b.writes else "read"
        head.append(f"@group(0) @binding({i}) var<storage, {access}> {b.variable}: array<{b.type}>;")
    if params:
        head.append(f"@group(0) @binding({len(bindings)}) var<uniform> p: Params;")
    return "\n\n".join([*_called("\n".join([body, *head])), "\n".join(head), body]) + "\n"


@functools.cache
def _environment() -> Environment:
    # Text for a GPU's compiler and no markup: there is nothing to escape, and names of models never get here.
    return Environment(
        loader=FileSystemLoader(resource("kernels", "wgsl")), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, autoescape=False,
    )  # fmt: skip


@functools.cache
def _library() -> dict[str, str]:
    """Return the declarations of nx_math.wgsl by name: each starts at a line's beginning and ends on it or at a `}`."""
    text = resource("kernels", "wgsl", "nx_math.wgsl").read_text(encoding="utf-8")
    found = re.findall(r"^(?:fn|var<private>) .*[;}]$|^fn .*\{$(?:\n.+)*?\n\}$", text, re.M)
    return {re.split(r"[(:]", code.split(" ", 1)[1])[0]: code for code in found}


def _called(text: str) -> list[str]:
    """Return the declarations that a text uses, and those that they use."""
    library, wanted, waiting = _library(), set[str](), [text]
    while waiting:
        names = set(re.findall(r"\bnx_\w+", waiting.pop())) & library.keys()
        waiting += [library[n] for n in names - wanted]
        wanted |= names
    return [code for name, code in library.items() if name in wanted]
