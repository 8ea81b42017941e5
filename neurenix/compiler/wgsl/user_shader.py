"""Reads a compute shader that a user wrote, holds it to what every contract asks for, and fits it to its sizes.

`custom` has the contract of shaders in place of an op's own, `user_ops` that of custom ops' shaders. What is common:
one entry point `main`, whose `@workgroup_size` is of whole numbers; bindings in group 0; `override`s by whose names
sizes and attributes get in; perhaps a uniform with the sizes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurenix.compiler.wgsl.workgroup_memory import workgroup_bytes
from neurenix.dims import Dim, Size
from neurenix.errors import InputError
from neurenix.graph.shaders import DEFAULT_LIMITS

# What a workgroup has at most on every device: maxComputeInvocationsPerWorkgroup, and maxComputeWorkgroupSizeZ.
MOST_INVOCATIONS = DEFAULT_LIMITS["maxComputeInvocationsPerWorkgroup"]
MOST_DEEP = 64
MOST_SHARED = DEFAULT_LIMITS["maxComputeWorkgroupStorageSize"]

_ATTRIBUTES = r"((?:@\w+\s*(?:\([^)]*\))?\s*)*)"
_VARIABLE = re.compile(_ATTRIBUTES + r"\bvar\s*(?:<([^>]*)>)?\s*(\w+)\s*:\s*([^;]+);")
_OVERRIDE = re.compile(_ATTRIBUTES + r"\boverride\s+(\w+)\s*(?::\s*(\w+)\s*)?(=[^;]*)?;")
_ENTRY = re.compile(_ATTRIBUTES + r"\bfn\s+main\s*\(")
_STAGE = re.compile(r"@(?:compute|vertex|fragment)\b")
_DIRECTIVE = re.compile(r"\b(enable|requires)\s+([\w\s,]+);")
_WHOLE_TYPES = ("u32", "i32")


@dataclass(frozen=True)
class Override:
    """A declaration `override name: type = …;`: the type, or "", the span, and whether it has a value of its own."""

    type: str
    span: tuple[int, int]
    valued: bool


@dataclass(frozen=True)
class Bound:
    """What a shader declares at a binding: the address space with its access, the name and the type."""

    space: str
    name: str
    kind: str


@dataclass(frozen=True)
class UserShader:
    """A shader as it was read. `what` names it in messages; `body` is where the statements of `main` begin."""

    what: str
    source: str
    text: str
    workgroup: tuple[int, int, int]
    overrides: Mapping[str, Override]
    bound: Mapping[int, Bound]
    body: int

    def check_storage(self, at: int, access: str, name: str, kinds: Sequence[str]) -> None:
        """Raise InputError unless a storage buffer of one of these types is bound there."""
        found = self.bound.get(at)
        spaces = (f"storage,{access}",) + (("storage",) if access == "read" else ())
        if found is None or found.space not in spaces or found.kind not in kinds:
            raise InputError(
                f"{self.what} needs `@group(0) @binding({at}) var<storage, {access}> {name}: {kinds[0]};`"
                + (f", it has var<{found.space}> {found.name}: {found.kind}" if found else "")
            )

    def check_bindings_end(self, end: int) -> None:
        """Raise InputError for a binding at `end` or behind it."""
        for at, found in self.bound.items():
            if at >= end:
                raise InputError(
                    f"{self.what} binds '{found.name}' at group 0, binding {at}; its last one is {end - 1}"
                )

    def uniform_fields(self, at: int, names: Sequence[str]) -> tuple[str, ...]:
        """Return how each of these sizes is read from the uniform at a binding; nothing where there is none."""
        found = self.bound.get(at)
        if found is None:
            return ()
        fields = _fields(self.text, found.kind)
        if found.space != "uniform" or len(fields) != len(names):
            raise InputError(
                f"{self.what} has {found.kind} at binding {at}: a uniform of {_listed(names)}, all u32, belongs there"
            )
        return tuple(f"{found.name}{field}" for field in fields)


def read_shader(what: str, source: str) -> UserShader:
    """Read a user's shader; `what` names it in messages. Raises InputError for what no contract allows."""
    if not isinstance(source, str):
        raise InputError(f"{what} must be the text of a WGSL module, got {type(source).__name__}")
    if "\0" in source:
        raise InputError(f"{what} has a NUL character, at {source.index(chr(0))}")
    text = _without_comments(source)
    for opening, closing in ("{}", "()"):
        if text.count(opening) != text.count(closing):
            raise InputError(f"{what} has {text.count(opening)} '{opening}' and {text.count(closing)} '{closing}'")
    directive = _DIRECTIVE.search(text)
    if directive:
        raise InputError(
            f"{what} says `{directive[1]} {directive[2].strip()};`: it must run in every browser, without extensions"
        )
    entries = [m for m in _ENTRY.finditer(text) if "@compute" in m[1]]
    if len(entries) != 1 or len(_STAGE.findall(text)) != 1:
        raise InputError(f"{what} must have one entry point, an @compute function called main")
    workgroup = _workgroup(what, entries[0][1])
    shared = workgroup_bytes(text)
    if shared > MOST_SHARED:
        raise InputError(f"{what} has {shared} bytes of var<workgroup>; every GPU has {MOST_SHARED}")
    overrides = {m[2]: Override(m[3] or "", (m.start(), m.end()), bool(m[4])) for m in _OVERRIDE.finditer(text)}
    return UserShader(what, source, text, workgroup, overrides, _bound(what, text), _body(what, text, entries[0].end()))


def fitted(
    shader: UserShader,
    sizes: Mapping[str, Size],
    others: Mapping[str, float],
    place: int,
    uniform: Sequence[str],
) -> tuple[str, bool]:
    """Return a shader's text with the overrides of these names set, and whether it reads the sizes from its params.

    What is known becomes a constant. A size that is a call's is read from a uniform, for pipelines would have to be
    made anew for every size: from `uniform`, an expression for each size, or from one that is declared at `place`.
    """
    fields = dict(zip(sizes, uniform or [f"nx_sizes.s{at}" for at in range(len(sizes))]))
    edits: list[tuple[int, int, str]] = []
    for name, value in {**sizes, **others}.items():
        found = shader.overrides.get(name)
        if found is None:
            continue
        kind = found.type or "u32"
        if isinstance(value, Dim):
            edits += _read_from(shader, name, found, f"{kind}({fields[name]})")
        else:
            edits.append((*found.span, f"const {name}: {kind} = {_literal(shader.what, name, kind, value)};"))
    source = shader.source
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    source = source.rstrip() + "\n"
    needed = any(isinstance(size, Dim) for name, size in sizes.items() if name in shader.overrides)
    if needed and not uniform:
        members = ", ".join(f"s{at}: u32" for at in range(len(sizes)))
        source += f"\nstruct NxSizes {{ {members} }}\n@group(0) @binding({place}) var<uniform> nx_sizes: NxSizes;\n"
    return source, needed or bool(uniform)


def _read_from(shader: UserShader, name: str, found: Override, value: str) -> list[tuple[int, int, str]]:
    """Return the edits that put an expression in the place of an override's name.

    A variable that `main` sets would do in any text, but compilers take what it holds for different in each invocation,
    and then browsers refuse barriers in a loop up to it. So that is for texts that give something else the name, too.
    """
    start, end = found.span
    again = rf"\b(?:let|const|fn|var(?:\s*<[^>]*>)?)\s+{name}\b|\b{name}\s*:"
    elsewhere = [m for m in re.finditer(again, shader.text) if not start <= m.start() < end]
    if elsewhere:
        kind = found.type or "u32"
        return [(start, end, f"var<private> {name}: {kind};"), (shader.body, shader.body, f" {name} = {value};")]
    uses = [m.span() for m in re.finditer(rf"(?<!\.)\b{name}\b", shader.text)]
    return [(start, end, ""), *((*use, value) for use in uses if not start <= use[0] < end)]


def _literal(what: str, name: str, kind: str, value: float) -> str:
    if kind == "bool":
        return str(bool(value)).lower()
    if kind in _WHOLE_TYPES:
        least, most = (0, 2**32 - 1) if kind == "u32" else (-(2**31), 2**31 - 1)
        if least <= value <= most:
            return f"{int(value)}u" if kind == "u32" else f"i32({int(value)})"
    elif abs(value) <= np.finfo(np.float32).max:
        return f"f32({float(np.float32(value))!r})"
    raise InputError(f"{what} declares {name} as {kind}, which cannot be {value}")


def _workgroup(what: str, attributes: str) -> tuple[int, int, int]:
    found = re.search(r"@workgroup_size\s*\(([^)]*)\)", attributes)
    sizes = [s.strip() for s in found[1].split(",") if s.strip()] if found else []
    if not 1 <= len(sizes) <= 3 or not all(re.fullmatch(r"[1-9]\d{0,4}[iu]?", s) for s in sizes):
        raise InputError(f"{what} must say @workgroup_size(x, y) with whole numbers, as in (8, 8)")
    x, y, z = [int(s.rstrip("iu")) for s in sizes] + [1] * (3 - len(sizes))
    if x * y * z > MOST_INVOCATIONS:
        raise InputError(f"{what} has workgroups of {x * y * z} invocations; every GPU has {MOST_INVOCATIONS}")
    if z > MOST_DEEP:
        raise InputError(f"{what} has workgroups of {z} along z; every GPU has {MOST_DEEP}")
    return x, y, z


def _bound(what: str, text: str) -> dict[int, Bound]:
    found: dict[int, Bound] = {}
    for attributes, space, name, kind in _VARIABLE.findall(text):
        place = dict(re.findall(r"@(group|binding)\s*\(\s*(\d{1,9})[iu]?\s*\)", attributes))
        if not place:
            continue
        at = int(place.get("binding", -1))
        if place.get("group") != "0" or at < 0 or at in found:
            raise InputError(
                f"{what} binds '{name}' at group {place.get('group')}, binding {place.get('binding')}"
                + (f", where '{found[at].name}' is already" if at in found else "; all bindings are in group 0")
            )
        found[at] = Bound(re.sub(r"\s", "", space), name, re.sub(r"\s", "", kind).rstrip(","))
    return found


def _fields(text: str, kind: str) -> Sequence[str]:
    """Return how the numbers of a uniform are reached; none for a type that has anything but whole numbers."""
    if kind in _WHOLE_TYPES:
        return [""]
    vector = re.fullmatch(r"vec([234])(<[ui]32>|[ui])", kind)
    if vector:
        return [f".{c}" for c in "xyzw"[: int(vector[1])]]
    struct = re.search(rf"\bstruct\s+{re.escape(kind)}\s*\{{([^}}]*)\}}", text)
    members = [m.split(":") for m in struct[1].split(",") if m.strip()] if struct else []
    if not all(len(m) == 2 and m[1].strip() in _WHOLE_TYPES for m in members):
        return []
    return [f".{m[0].strip()}" for m in members]


def _body(what: str, text: str, at: int) -> int:
    """Return where the statements of a function begin whose parameters begin at `at`."""
    depth = 1
    while depth and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    opening = text.find("{", at)
    if opening < 0:
        raise InputError(f"{what} has a main without a body")
    return opening + 1


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _without_comments(source: str) -> str:
    """Return WGSL with spaces in place of its comments: block comments nest."""
    kept, depth, at = list(source), 0, 0
    while at < len(source):
        pair = source[at : at + 2]
        end = at + 1
        if not depth and pair == "//":
            end = (source.find("\n", at) + 1 or len(source) + 1) - 1
        elif pair == "/*" or (depth and pair == "*/"):
            depth += 1 if pair == "/*" else -1
            end = at + 2
        elif not depth:
            at += 1
            continue
        kept[at:end] = [c if c == "\n" else " " for c in source[at:end]]
        at = end
    return "".join(kept)
