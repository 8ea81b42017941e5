"""The ShaderPlan: a Plan as a GPU runs it. Shaders, where each tensor lies, and the dispatches in order.

It is data and nothing else: printed by the compiler, run by the wgpu engine here and by the browser's runtime.
`describe` writes the dispatch table; the shaders' text travels beside it, in one file, one behind the other:

    {
      "limits":     {NAME: least value},            what the device must be asked for; absent: WebGPU's default will do
      "buffers":    [{"size": bytes}],              one GPUBuffer each, usage STORAGE | COPY_SRC | COPY_DST
      "regions":    {NAME: {"buffer": index, "offset": bytes, "size": bytes, "type": "f32" | "i32" | "f16"}},
      "paramsSize": bytes,                          of one more buffer, usage UNIFORM | COPY_DST
      "shaders":    [{"name", "from": byte, "to": byte, "bindings": ["read" | "write", …], "params": count,
                      "subgroups": {"from", "to"}}],  the same for a device that has them; absent: no other text
      "dispatches": [{"shader": index, "bindings": [region NAME, …], "params": [size, …], "at": bytes,
                      "groups": size | {"x": size, "y": size, "z": size}, "op", "scope"}],
      "flops":      count,                          the arithmetic of one example at its largest
      "auto":       true | false,                   whether that is so much that a GPU is worth asking
      "inputs":     {NAME: [least, most]},          narrower ends of whole inputs; absent: those of 32 bits do
      "special":    text                            why it needs NaN or infinities; absent: it shows no need of them
      "half":       {"tolerance", …}                the same model for a device with "shader-f16": another such table
    }

A *size* is an integer or an expression of the model's dims, as everywhere in the manifest. Every shader has the entry
point `main` and one bind group, 0: binding i is the i-th of `bindings`, a storage buffer bound to the whole of its
region, and the last binding is its params, where it has any: a uniform of that many 32-bit signed integers, which lie
at `at` in the params buffer. A dispatch needs `groups` workgroups: 0 of them means that there is nothing to do; up to
65,535 are `(groups, 1)`; more are `(65535, ceil(groups / 65535))`, and shaders pass over what is too much. Shaders that
users wrote say how many along each axis.

A region holds the tensor of its name row-major, 4 bytes an element, or 2 in float16: parameters (the names of the
manifest's `tensors`, each in its layout of the weights file) are written once, inputs before every call, and outputs
read after it. Whole
numbers and conditions are 32-bit signed integers on the GPU, whatever their dtype: an input of a wider one must be
checked to fit before it is written, and to lie between the ends that `inputs` gives it, for only between those has the
build shown that all that follows fits as well. A float16 of the graph is a float32 that was rounded to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurenix.dims import Size, evaluate, to_json

# What bindings' offsets are multiples of: minStorageBufferOffsetAlignment and its twin for uniforms, at their largest.
BINDING_ALIGNMENT = 256
# maxComputeWorkgroupsPerDimension, which no adapter raises.
MOST_GROUPS = 65535
# From here a GPU may answer sooner than WebAssembly does: submitting work and reading an answer back takes some 2 ms in
# browsers, in which one core computes this much.
WORTHWHILE_FLOPS = 100_000_000
# Where tensors are stored as float16, values beyond its largest become that; answers differ by so much at most,
# relative to 1 or to themselves, whichever is more.
LARGEST_HALF = 65504
HALF_TOLERANCE = 0.01
HALF_FEATURE = "shader-f16"
# What stands first in a text for devices with the feature "subgroups".
ENABLE_SUBGROUPS = "enable subgroups;\n\n"
# What tensors between inputs and outputs may be stored as.
PRECISIONS = ("float32", "float16")
# The defaults that every WebGPU device has and no device exceeds unasked; a plan that needs more names it in `limits`.
DEFAULT_LIMITS = {
    "maxStorageBuffersPerShaderStage": 8,
    "maxStorageBufferBindingSize": 128 << 20,
    "maxBufferSize": 256 << 20,
    "maxComputeWorkgroupStorageSize": 16384,
    "maxComputeInvocationsPerWorkgroup": 256,
    "maxComputeWorkgroupSizeX": 256,
}


Grid = tuple[Size, Size, Size]


@dataclass(frozen=True)
class Region:
    """Where a tensor lies: `size` bytes at `offset` of a buffer, as elements of a WGSL type: "f32", "i32" or "f16"."""

    buffer: int
    offset: int
    size: int
    type: str


@dataclass(frozen=True)
class Shader:
    """One compute shader: its whole text, whether it writes each of its storage bindings, and its count of params.

    `subgroups` is a text that does the same on a device with subgroups of any size, where there is one.
    """

    name: str
    source: str
    writes: tuple[bool, ...]
    params: int
    subgroups: str = ""


@dataclass(frozen=True)
class Dispatch:
    """One run of a shader: the regions that it is bound to, its params, which lie `at` bytes into their buffer, and
    how many workgroups it takes."""

    shader: str
    bindings: tuple[str, ...]
    params: tuple[Size, ...]
    at: int
    groups: Size | Grid
    op: str = ""
    scope: str = ""


@dataclass(frozen=True)
class ShaderPlan:
    """A compiled model for a GPU: `buffers` are sizes in bytes, `limits` what a device must be asked for.

    `flops` is the arithmetic of one example at its largest. `special` says why the model needs NaN or infinities,
    which WGSL lets a GPU ignore; it is empty where nothing shows that it does. `half` is the same model for a device
    that has HALF_FEATURE: tensors between inputs and outputs are float16, and answers within `tolerance`. `inputs` has
    the least and the most of those whole inputs that may not be all that 32 bits hold.
    """

    shaders: Mapping[str, Shader]
    buffers: tuple[int, ...]
    regions: Mapping[str, Region]
    dispatches: tuple[Dispatch, ...]
    params_size: int
    limits: Mapping[str, int]
    flops: int = 0
    special: str = ""
    half: ShaderPlan | None = None
    tolerance: float | None = None
    inputs: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def text(self) -> str:
        """Return all shaders, one behind the other, as the bundle's file has them."""
        return "".join(text for shader in self.shaders.values() for text in (shader.source, shader.subgroups))

    @property
    def has_subgroups(self) -> bool:
        """Whether a device with subgroups gets other texts."""
        return any(shader.subgroups for shader in self.shaders.values())


def folded(groups: int) -> tuple[int, int]:
    """Return x and y of a dispatch of so many workgroups: y is more than 1 only beyond what x may be."""
    across = max(0, min(groups, MOST_GROUPS))
    return across, -(-groups // across) if across else 0


def workgroups(dispatch: Dispatch, dims: Mapping[str, int]) -> tuple[int, int, int]:
    """Return x, y and z of a dispatch; one of them is 0 where there is nothing to do."""
    if not isinstance(dispatch.groups, tuple):
        return (*folded(evaluate(dispatch.groups, dims)), 1)
    x, y, z = (max(0, evaluate(size, dims)) for size in dispatch.groups)
    return x, y, z


def describe(plan: ShaderPlan) -> dict[str, Any]:
    """Return the dispatch table as JSON: the contract is at the top of this file."""
    shaders, start = [], 0
    order = {name: i for i, name in enumerate(plan.shaders)}
    for shader in plan.shaders.values():
        end = start + len(shader.source.encode())
        access = ["write" if w else "read" for w in shader.writes]
        row: dict[str, Any] = {"name": shader.name, "from": start, "to": end, "bindings": access}
        row["params"] = shader.params
        start = end
        if shader.subgroups:
            start = end + len(shader.subgroups.encode())
            row["subgroups"] = {"from": end, "to": start}
        shaders.append(row)
    return {
        "limits": dict(plan.limits),
        "buffers": [{"size": size} for size in plan.buffers],
        "regions": {
            name: {"buffer": r.buffer, "offset": r.offset, "size": r.size, "type": r.type}
            for name, r in plan.regions.items()
        },
        "paramsSize": plan.params_size,
        "shaders": shaders,
        "dispatches": [
            {"shader": order[d.shader], "bindings": list(d.bindings), "params": [to_json(p) for p in d.params],
             "at": d.at, "groups": _groups_to_json(d.groups), "op": d.op, "scope": d.scope}
            for d in plan.dispatches
        ],
        "flops": plan.flops,
        "auto": plan.flops >= WORTHWHILE_FLOPS,
        **({"inputs": {name: list(ends) for name, ends in plan.inputs.items()}} if plan.inputs else {}),
        **({"special": plan.special} if plan.special else {}),
        **({} if plan.tolerance is None else {"tolerance": plan.tolerance}),
        **({} if plan.half is None else {"half": describe(plan.half)}),
    }  # fmt: skip


def _groups_to_json(groups: Size | Grid) -> Any:
    return {axis: to_json(size) for axis, size in zip("xyz", groups)} if isinstance(groups, tuple) else to_json(groups)
