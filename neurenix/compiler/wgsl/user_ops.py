"""Shaders of custom ops: held to the contract, and what a step of such an op becomes with its shader.

The contract: group 0 has the inputs in their order (bindings 0, 1, …, read) and then the output (read_write), row-major
and without gaps, as `array<f32>` for float32 and as `array<i32>` for whole numbers and bools. The entry point is
`main`; its `@workgroup_size` covers with x, y and z what the op's `covers` says, or the elements of the output with x.
An `override` of the name of a size (`sizes`, or `n`) or of an attribute is set where it is declared; of a tuple
`steps` there are `steps_0`, `steps_1`, … and `steps_count`. A uniform at the binding behind the output has the sizes in
their order, where it is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neurenix import ops
from neurenix.compiler.wgsl.launch import Launch, groups_of, most, reads, writes
from neurenix.compiler.wgsl.types import FLOAT, WHOLE, storage
from neurenix.compiler.wgsl.user_shader import UserShader, fitted, read_shader
from neurenix.dims import Size
from neurenix.dtypes import dtype
from neurenix.errors import InputError, UnsupportedError
from neurenix.graph.plan import Plan, Step
from neurenix.graph.shaders import MOST_GROUPS
from neurenix.ops.user_source import ANY, UserSource

# The types that an override may have for a value of a kind.
_SIZE = ("u32", "i32")
_TYPES = {bool: ("bool",), int: ("i32", "u32", "f32"), float: ("f32",)}


def check_source(source: UserSource, sizes: Sequence[str] | None) -> None:
    """Raise InputError, naming what the contract has otherwise, for a custom op's shader.

    `sizes` are the names of the integers that the kernel is given, where they are known before the shapes are.
    """
    assert source.wgsl is not None
    shader = _read(source)
    for at in range(len(source.takes) + 1):
        of = source.takes[at] if at < len(source.takes) else ANY
        kinds = (FLOAT, WHOLE) if of == ANY else [storage(dtype(of)) or "float64"]
        if "float64" in kinds:
            raise InputError(f"{shader.what} cannot take {of}, which WGSL has not: leave wgsl out")
        access = "read" if at < len(source.takes) else "read_write"
        shader.check_storage(at, access, f"x{at}" if access == "read" else "y", [f"array<{kind}>" for kind in kinds])
    end = len(source.takes) + 1
    shader.check_bindings_end(end + 1)
    if sizes is not None:
        shader.uniform_fields(end, sizes)
        _check_overrides(shader, dict.fromkeys(sizes, 0), _attributes(source.attrs, {}))


def launch_user_op(step: Step, plan: Plan) -> Launch:
    """Return the launch of a custom op's own shader.

    Raises UnsupportedError for what keeps the model on wasm, InputError for what is a mistake in the declaration.
    """
    row = ops.get(step.op)
    source = ops.custom.source_of(row)
    if source.wgsl is None:
        raise UnsupportedError("is a custom op without a WGSL source")
    shader = _read(source)
    bound = (*(reads(f"x{at}", name, plan) for at, name in enumerate(step.inputs)), writes(step, plan))
    for at, each in enumerate(bound):
        found = shader.bound[at]
        if found.kind != f"array<{each.type}>":
            raise UnsupportedError(
                f"is given '{each.tensor}', which is {plan.dtype(each.tensor)}, and its shader has {found.kind} at "
                f"binding {at}"
            )
    attributes = _attributes(source.attrs, step.attrs)
    _check_overrides(shader, step.sizes, attributes)
    uniform = shader.uniform_fields(len(bound), list(step.sizes))
    text, reads_sizes = fitted(shader, step.sizes, attributes, len(bound), uniform)
    covered = ops.custom.covered(row, step.shapes, step.shape, step.attrs)
    x, y, z = (groups_of(size, each) for size, each in zip((*covered, 1, 1), shader.workgroup))
    for axis, groups in zip("xyz", (x, y, z)):
        if most(groups, plan) > MOST_GROUPS:
            raise UnsupportedError(
                f"takes {most(groups, plan)} workgroups along {axis}, where {MOST_GROUPS} are the most: let 'covers' "
                "spread them over x, y and z, or make the workgroup larger"
            )
    return Launch("", bound, dict(step.sizes) if reads_sizes else {}, (x, y, z), text=text)


def _read(source: UserSource) -> UserShader:
    return read_shader(f"the shader of '{source.op}'", source.wgsl or "")


def _attributes(defaults: Mapping[str, Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes as overrides have them; a float stays one where its default is one."""
    made: dict[str, Any] = {}
    for name, value in {**defaults, **attrs}.items():
        default = defaults.get(name)
        if isinstance(value, tuple):
            made |= {f"{name}_{at}": entry for at, entry in enumerate(value)} | {f"{name}_count": len(value)}
        else:
            made[name] = float(value) if isinstance(default, float) else value
    return made


def _check_overrides(shader: UserShader, sizes: Mapping[str, Size], attributes: Mapping[str, Any]) -> None:
    """Raise InputError for an override that nobody sets, or of a type that its value has not."""
    for name, found in shader.overrides.items():
        if name in sizes and name in attributes:
            raise InputError(
                f"{shader.what} has the override {name}, which is both a size and an attribute: rename one"
            )
        if name in sizes:
            fits: Sequence[str] = (*_SIZE, "")
        elif name in attributes:
            fits = _TYPES.get(type(attributes[name]), ("f32", "i32", "u32", "bool"))
        elif found.valued:
            continue
        else:
            raise InputError(
                f"{shader.what} has the override {name}, which nobody sets: give it a value, or use one of "
                + (", ".join([*sizes, *attributes]) or "none")
            )
        if found.type not in fits:
            written = found.type or "no type"
            raise InputError(f"{shader.what} declares {name} as {written}; it is {' or '.join(filter(None, fits))}")


__all__ = ["check_source", "launch_user_op"]
