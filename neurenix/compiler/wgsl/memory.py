"""Where tensors lie on a GPU: few buffers, each taken by one tensor after the other, and parameters side by side.

A binding is the whole of a tensor's region. WebGPU forbids that one dispatch reads a buffer through one binding and
writes it through another, even where the ranges are apart; declaring every binding writable would allow that, but an
operand that stands twice in a dispatch would then alias itself, which is forbidden as well, and compilers lose what
they know of memory that nobody writes. So tensors that are needed at the same time lie in different buffers, and a
buffer is given to the next tensor once the last that lay in it is read: in a chain there are two or three.
"""

from __future__ import annotations

from collections.abc import Mapping

from neurenix.compiler.memory import Lifetime
from neurenix.compiler.wgsl.types import storage
from neurenix.dims import bounds, product
from neurenix.errors import UnsupportedError
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import BINDING_ALIGNMENT, DEFAULT_LIMITS, Region

# Parameters share a buffer up to here: what a device binds and holds without being asked for more.
WEIGHTS_BUFFER = DEFAULT_LIMITS["maxStorageBufferBindingSize"]
LARGEST = (1 << 31) - BINDING_ALIGNMENT


def place(
    plan: Plan, scratch: Mapping[str, tuple[int, int]], halves: frozenset[str] = frozenset()
) -> tuple[dict[str, Region], tuple[int, ...]]:
    """Return the region of every tensor that a dispatch may name, and the sizes of all buffers.

    `scratch` gives for each tensor of the shaders' own the step that uses it and its bytes; `halves` are the tensors
    that are stored as float16.
    """
    regions: dict[str, Region] = {}
    sizes: list[int] = []
    for name, tensor in plan.tensors.items():
        size = _aligned(tensor.size // tensor.dtype.size * _width(name, halves))
        if not sizes or sizes[-1] + size > WEIGHTS_BUFFER:
            sizes.append(0)
        regions[name] = Region(len(sizes) - 1, sizes[-1], size, _type(name, plan, halves))
        sizes[-1] += size
    lives = _lifetimes(plan, halves)
    lives |= {name: Lifetime(_aligned(size), at, at) for name, (at, size) in scratch.items()}
    taken: list[tuple[int, list[Lifetime]]] = []  # a buffer and who lives there
    # The largest first: a buffer is made for its largest tenant, and smaller ones move in.
    for name in sorted(lives, key=lambda n: (-lives[n].size, lives[n].first, n)):
        life = lives[name]
        home = next((i for i, others in taken if not any(life.meets(o) for o in others)), None)
        if home is None:
            home = len(sizes)
            sizes.append(life.size)
            taken.append((home, []))
        next(others for i, others in taken if i == home).append(life)
        regions[name] = Region(home, 0, life.size, "f32" if name in scratch else _type(name, plan, halves))
    return regions, tuple(sizes)


def limits(regions: Mapping[str, Region], buffers: tuple[int, ...], most_bindings: int) -> dict[str, int]:
    """Return what a device must be asked for beyond what every device gives."""
    needed = {
        "maxStorageBuffersPerShaderStage": most_bindings,
        "maxStorageBufferBindingSize": max((r.size for r in regions.values()), default=0),
        "maxBufferSize": max(buffers, default=0),
    }
    return {name: value for name, value in needed.items() if value > DEFAULT_LIMITS[name]}


def _lifetimes(plan: Plan, halves: frozenset[str]) -> dict[str, Lifetime]:
    """Return when each buffer of the plan is needed; step -1 is the call's beginning. Scratch of C kernels is not."""
    first: dict[str, int] = dict.fromkeys(plan.inputs, -1)
    last: dict[str, int] = dict.fromkeys(plan.inputs, -1)
    for at, step in enumerate(plan.steps):
        first.setdefault(step.output, at)
        for name in (*step.inputs, *(step.epilogue.inputs if step.epilogue else ()), step.output):
            if name not in plan.tensors:
                last[name] = at
    last |= dict.fromkeys(plan.results, len(plan.steps))
    lives = {}
    for name in first:
        size = _aligned(bounds(product(plan.buffers[name].shape), plan.dims)[1] * _width(name, halves))
        if size > LARGEST:
            raise UnsupportedError(
                f"'{name}' takes {size / 1e6:.0f} MB on a GPU, where 2 GB are the most: lower its dims"
            )
        lives[name] = Lifetime(size, first[name], last[name])
    return lives


def _width(name: str, halves: frozenset[str]) -> int:
    return 2 if name in halves else 4


def _type(name: str, plan: Plan, halves: frozenset[str]) -> str:
    return "f16" if name in halves else storage(plan.dtype(name)) or ""


def _aligned(size: int) -> int:
    """Round up, and never to nothing: a binding has at least one element."""
    return max(1, -(-size // BINDING_ALIGNMENT)) * BINDING_ALIGNMENT
