"""Shaders that users wrote in place of an op's own: read, held to the contract, and fitted to a step's sizes.

The contract for `matrix_multiply`: group 0 has a and b (bindings 0 and 1, read) and c (binding 2, read_write), all
`array<f32>`, row-major: c (M, N) = a (M, K) b (K, N), for each of BATCH entries one behind the other. The entry point
is `main`; its `@workgroup_size` covers c's columns with x, its rows with y and the entries with z. `override M, N, K,
BATCH: u32` are set where they are declared, and a uniform at binding 3 gets m, n, k and batch in this order. A shader
that declares neither BATCH nor the uniform does single products only; those of several entries keep the op's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from neurenix.compiler.wgsl.launch import OUTPUT, SCRATCH, Launch, epilogue, groups_of, most, reads, writes
from neurenix.compiler.wgsl.source import Binding
from neurenix.compiler.wgsl.types import FLOAT
from neurenix.dims import Size
from neurenix.errors import InputError, UnsupportedError
from neurenix.graph.plan import Plan, Step
from neurenix.graph.shaders import MOST_GROUPS

# The ops that may be replaced, and the steps of a plan that compute them.
REPLACEABLE = {"matrix_multiply": ("matmul", "batch_matmul")}
SIZES = ("M", "N", "K", "BATCH")
# What a workgroup has at most on every device.
MOST_INVOCATIONS = 256

_ATTRIBUTES = r"((?:@\w+\s*(?:\([^)]*\))?\s*)*)"
_VARIABLE = re.compile(_ATTRIBUTES + r"\bvar\s*<([^>]*)>\s*(\w+)\s*:\s*([^;]+);")
_OVERRIDE = re.compile(_ATTRIBUTES + r"\boverride\s+(\w+)\s*(?::\s*(\w+)\s*)?(=[^;]*)?;")
_ENTRY = re.compile(_ATTRIBUTES + r"\bfn\s+main\s*\(")
_BOUND = ("read", "read", "read_write")


@dataclass(frozen=True)
class CustomShader:
    """A user's shader. `overrides` are the spans of the declarations of sizes, `body` is where `main` begins.

    `uniform` reads the four sizes, each as an expression, from what binding 3 declares; it is empty without one.
    """

    op: str
    source: str
    workgroup: tuple[int, int, int]
    overrides: dict[str, tuple[int, int]]
    uniform: tuple[str, ...]
    body: int

    @property
    def batched(self) -> bool:
        """Whether it knows of several entries."""
        return "BATCH" in self.overrides or bool(self.uniform)


def parse(op: str, source: str) -> CustomShader:
    """Return a user's shader. Raises InputError, naming what the contract has otherwise."""
    if not isinstance(op, str) or op not in REPLACEABLE:
        raise InputError(f"there is no op {op!r} whose shader can be replaced; known are {', '.join(REPLACEABLE)}")
    if not isinstance(source, str):
        raise InputError(f"the shader for '{op}' must be the text of a WGSL module, got {type(source).__name__}")
    text = _without_comments(source)
    entries = [m for m in _ENTRY.finditer(text) if "@compute" in m[1]]
    if len(entries) != 1 or text.count("@compute") != 1:
        raise InputError(f"the shader for '{op}' must have one entry point, an @compute function called main")
    workgroup = _workgroup(op, entries[0][1])
    overrides = {m[2]: (m.start(), m.end()) for m in _OVERRIDE.finditer(text) if m[2] in SIZES}
    for found in _OVERRIDE.finditer(text):
        if found[2] in SIZES and found[3] not in ("u32", None):
            raise InputError(f"the shader for '{op}' declares {found[2]} as {found[3]}; it is a u32")
        if found[2] not in SIZES and not found[4]:
            raise InputError(
                f"the shader for '{op}' has the override {found[2]}, which nobody sets: give it a value, or use one of "
                + ", ".join(SIZES)
            )
    return CustomShader(op, source, workgroup, overrides, _bindings(op, text), _body(op, text, entries[0].end()))


def _workgroup(op: str, attributes: str) -> tuple[int, int, int]:
    found = re.search(r"@workgroup_size\s*\(([^)]*)\)", attributes)
    sizes = [s.strip() for s in found[1].split(",") if s.strip()] if found else []
    if not 1 <= len(sizes) <= 3 or not all(re.fullmatch(r"[1-9]\d{0,2}[iu]?", s) for s in sizes):
        raise InputError(f"the shader for '{op}' must say @workgroup_size(x, y) with whole numbers, as in (8, 8)")
    x, y, z = [int(s.rstrip("iu")) for s in sizes] + [1] * (3 - len(sizes))
    if x * y * z > MOST_INVOCATIONS:
        raise InputError(
            f"the shader for '{op}' has workgroups of {x * y * z} invocations; every GPU has {MOST_INVOCATIONS}"
        )
    return x, y, z


def _bindings(op: str, text: str) -> tuple[str, ...]:
    """Check what a shader is bound to; return how it reads the sizes from its uniform, where it has one."""
    found: dict[int, tuple[str, str, str]] = {}
    for attributes, space, name, kind in _VARIABLE.findall(text):
        place = dict(re.findall(r"@(group|binding)\s*\(\s*(\d+)u?\s*\)", attributes))
        if not place:
            continue
        at = int(place.get("binding", -1))
        if place.get("group") != "0" or at not in range(4) or at in found:
            raise InputError(f"the shader for '{op}' binds '{name}' at group {place.get('group')}, binding {at}")
        found[at] = re.sub(r"\s", "", space), name, re.sub(r"\s", "", kind).rstrip(",")
    for at, access in enumerate(_BOUND):
        space, name, kind = found.get(at, ("", "", ""))
        spaces = (f"storage,{access}",) + (("storage",) if access == "read" else ())
        if space not in spaces or kind != "array<f32>":
            raise InputError(
                f"the shader for '{op}' needs "
                f"`@group(0) @binding({at}) var<storage, {access}> {'abc'[at]}: array<f32>;`"
                + (f", it has var<{space}> {name}: {kind}" if name else "")
            )
    if 3 not in found:
        return ()
    space, name, kind = found[3]
    fields = _fields(text, kind)
    if space != "uniform" or len(fields) != 4:
        raise InputError(
            f"the shader for '{op}' has {kind} at binding 3: a uniform of m, n, k and batch, all u32, belongs there"
        )
    return tuple(f"u32({name}{field})" for field in fields)


def _fields(text: str, kind: str) -> Sequence[str]:
    """Return how the four numbers of a type are reached; none for a type that has not just these."""
    if re.fullmatch(r"vec4(<[ui]32>|[ui])", kind):
        return [".x", ".y", ".z", ".w"]
    struct = re.search(rf"\bstruct\s+{re.escape(kind)}\s*\{{([^}}]*)\}}", text)
    members = [m.split(":") for m in struct[1].split(",") if m.strip()] if struct else []
    if not all(len(m) == 2 and m[1].strip() in ("u32", "i32") for m in members):
        return []
    return [f".{m[0].strip()}" for m in members]


def _body(op: str, text: str, at: int) -> int:
    """Return where the statements of a function begin whose parameters begin at `at`."""
    depth = 1
    while depth and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    opening = text.find("{", at)
    if opening < 0:
        raise InputError(f"the shader for '{op}' has a main without a body")
    return opening + 1


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


def fitted(shader: CustomShader, sizes: Sequence[Size]) -> tuple[str, bool]:
    """Return the shader for M, N, K and BATCH, and whether it reads them from params.

    An override whose size is known becomes a constant. One whose size is a call's becomes a variable that `main` sets:
    pipelines would have to be made anew for every size.
    """
    known = dict(zip(SIZES, sizes))
    fields = dict(zip(SIZES, shader.uniform or [f"nx_sizes.{c}" for c in "xyzw"]))
    sets = [f" {n} = {fields[n]};" for n in shader.overrides if not isinstance(known[n], int)]
    edits = [(shader.body, shader.body, "".join(sets))]
    for name, (start, end) in shader.overrides.items():
        size = known[name]
        text = f"const {name}: u32 = {size}u;" if isinstance(size, int) else f"var<private> {name}: u32;"
        edits.append((start, end, text))
    source = shader.source
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    if sets and not shader.uniform:
        source += "\n@group(0) @binding(3) var<uniform> nx_sizes: vec4<u32>;\n"
    return source.rstrip() + "\n", bool(sets or shader.uniform)


def launch_custom(step: Step, plan: Plan, shader: CustomShader) -> tuple[Launch, ...]:
    """Return the launches of a product by a user's shader: operands laid out row-major, the shader, the epilogue.

    Nothing is returned for a step that the shader does not do.
    """
    sizes, (a, b) = step.sizes, step.inputs
    rows, columns, depth = sizes["M"], sizes["N"], sizes["K"]
    axes: tuple[Size, ...] = (1, 1, 1)
    laid: list[Launch] = []
    names = [a, b]
    if step.op == "matmul":
        laid.append(_lay_out(b, plan, axes, (0, 0, 0), depth, columns, "panels"))
        names[1] = f"{SCRATCH} b"
    else:
        axes = (sizes["D0"], sizes["D1"], sizes["D2"])
        for at, (letter, down, across) in enumerate((("A", rows, depth), ("B", depth, columns))):
            strides = (sizes[f"{letter}0"], sizes[f"{letter}1"], sizes[f"{letter}2"])
            turned = letter == "B" and bool(step.attrs["transposed"])
            if turned or not _is_whole(axes, strides):
                kind = "turned" if turned else "rows"
                laid.append(_lay_out(names[at], plan, axes, strides, down, across, kind, letter.lower()))
                names[at] = f"{SCRATCH} {letter.lower()}"
    batch = axes[0] * axes[1] * axes[2]
    if batch != 1 and not shader.batched:
        return ()
    made = f"{SCRATCH} c" if step.epilogue else step.output
    bound = (Binding("a", names[0], FLOAT), Binding("b", names[1], FLOAT), Binding("c", made, FLOAT, writes=True))
    text, reads_sizes = fitted(shader, (rows, columns, depth, batch))
    x, y, z = shader.workgroup
    groups = (groups_of(columns, x), groups_of(rows, y), groups_of(batch, z))
    if max(most(each, plan) for each in groups) > MOST_GROUPS:
        raise UnsupportedError(f"takes more than {MOST_GROUPS} workgroups of the registered shader along one axis")
    params: dict[str, Size] = {"m": rows, "n": columns, "k": depth, "batch": batch} if reads_sizes else {}
    scratch: dict[str, Size] = {made: batch * rows * columns} if step.epilogue else {}
    done = Launch("", bound, params, groups, text=text, scratch=scratch)
    return (*laid, done, *_finish(step, plan, made, batch * rows * columns, columns))


def _is_whole(axes: Sequence[Size], strides: Sequence[Size]) -> bool:
    """Whether the entries of an operand lie one behind the other, none of them taken twice."""
    return all(n == 1 or s == w for n, s, w in zip(axes, strides, (axes[1] * axes[2], axes[2], 1)))


def _lay_out(
    name: str, plan: Plan, axes: Sequence[Size], strides: Sequence[Size], rows: Size, columns: Size, kind: str,
    letter: str = "b",
) -> Launch:  # fmt: skip
    count = axes[0] * axes[1] * axes[2] * rows * columns
    made = f"{SCRATCH} {letter}"
    params = dict(zip(("D0", "D1", "D2", "S0", "S1", "S2", "K", "N"), (*axes, *strides, rows, columns)))
    bound = (reads("b", name, plan), Binding(OUTPUT, made, FLOAT, writes=True))
    return Launch("lay_out", bound, params, groups_of(count), {"kind": kind}, scratch={made: count})


def _finish(step: Step, plan: Plan, made: str, count: Size, columns: Size) -> tuple[Launch, ...]:
    if step.epilogue is None:
        return ()
    text, more = epilogue(step, plan)
    bound = (Binding("c", made, FLOAT), *more, writes(step, plan))
    return (Launch("finish", bound, {"count": count, "N": columns}, groups_of(count), functions=(text,)),)
