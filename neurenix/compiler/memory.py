"""Assigns byte offsets to buffers so that those alive at the same time never overlap. Knows lifetimes, not ops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neurenix.graph.packing import aligned


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `size` bytes, needed from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan_memory(lifetimes: Mapping[str, Lifetime]) -> tuple[dict[str, int], int]:
    """Return each buffer's offset, a multiple of 64, and the size of the arena.

    Greedy by size: the largest buffer is placed first, each into the lowest gap that is free for its whole
    life (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
    """
    offsets: dict[str, int] = {}
    order = sorted(lifetimes, key=lambda name: (-lifetimes[name].size, lifetimes[name].first, name))
    for name in order:
        life, offset = lifetimes[name], 0
        taken = sorted((offsets[other], lifetimes[other].size) for other in offsets if lifetimes[other].meets(life))
        for start, size in taken:
            if offset + life.size <= start:
                break
            offset = max(offset, aligned(start + size))
        offsets[name] = offset
    return offsets, max((aligned(offsets[n] + lifetimes[n].size) for n in offsets), default=0)
