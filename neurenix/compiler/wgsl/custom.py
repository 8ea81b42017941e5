"""Shaders that users wrote in place of an op's own: held to the contract, and what a step becomes with one.

The contract for `matrix_multiply`: group 0 has a and b (bindings 0 and 1, read) and c (binding 2, read_write), all
`array<f32>`, row-major: c (M, N) = a (M, K) b (K, N), for each of BATCH entries one behind the other. The entry point
is `main`; its `@workgroup_size` covers c's columns with x, its rows with y and the entries with z. `override M, N, K,
BATCH: u32` are set where they are declared, and a uniform at binding 3 gets m, n, k and batch in this order. A shader
that declares neither BATCH nor the uniform does single products only; those of several entries keep the op's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neurenix.compiler.wgsl.launch import OUTPUT, SCRATCH, Launch, epilogue, groups_of, most, reads, writes
from neurenix.compiler.wgsl.source import Binding
from neurenix.compiler.wgsl.types import FLOAT
from neurenix.compiler.wgsl.user_shader import UserShader, fitted, read_shader
from neurenix.dims import Size
from neurenix.errors import InputError, UnsupportedError
from neurenix.graph.plan import Plan, Step
from neurenix.graph.shaders import MOST_GROUPS

# The ops that may be replaced, and the steps of a plan that compute them.
REPLACEABLE = {"matrix_multiply": ("matmul", "batch_matmul")}
SIZES = ("M", "N", "K", "BATCH")
_BOUND = (("a", "read"), ("b", "read"), ("c", "read_write"))


@dataclass(frozen=True)
class CustomShader:
    """A user's shader in place of an op's own. `uniform` reads the four sizes from binding 3, if that is declared."""

    op: str
    read: UserShader
    uniform: tuple[str, ...]

    @property
    def source(self) -> str:
        return self.read.source

    @property
    def batched(self) -> bool:
        """Whether it knows of several entries."""
        return "BATCH" in self.read.overrides or bool(self.uniform)


def parse(op: str, source: str) -> CustomShader:
    """Return a user's shader. Raises InputError, naming what the contract has otherwise."""
    if not isinstance(op, str) or op not in REPLACEABLE:
        raise InputError(f"there is no op {op!r} whose shader can be replaced; known are {', '.join(REPLACEABLE)}")
    shader = read_shader(f"the shader for '{op}'", source)
    for name, found in shader.overrides.items():
        if name in SIZES and found.type not in ("u32", ""):
            raise InputError(f"{shader.what} declares {name} as {found.type}; it is a u32")
        if name not in SIZES and not found.valued:
            raise InputError(
                f"{shader.what} has the override {name}, which nobody sets: give it a value, or use one of "
                + ", ".join(SIZES)
            )
    for at, (name, access) in enumerate(_BOUND):
        shader.check_storage(at, access, name, ["array<f32>"])
    shader.check_bindings_end(len(_BOUND) + 1)
    return CustomShader(op, shader, shader.uniform_fields(len(_BOUND), [name.lower() for name in SIZES]))


def fit(shader: CustomShader, sizes: Sequence[Size]) -> tuple[str, bool]:
    """Return the shader for M, N, K and BATCH, and whether it reads them from params."""
    return fitted(shader.read, dict(zip(SIZES, sizes)), {}, len(_BOUND), shader.uniform)


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
    text, reads_sizes = fit(shader, (rows, columns, depth, batch))
    x, y, z = shader.read.workgroup
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
