"""Methods of Tensor that repeat, turn round, pad and shuffle: all of them made of views, slices and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurenix import expr as ex
from neurenix.dims import Size
from neurenix.errors import GraphError
from neurenix.ops.shapes import axis_of
from neurenix.tensor.gathering import GatheringMethods
from neurenix.tensor.joining import cat
from neurenix.tensor.methods import Methods
from neurenix.tensor.movement import sizes

if TYPE_CHECKING:
    from neurenix.tensor.tensor import Tensor

# What torch.nn.functional.pad, ONNX and NumPy call the same.
_PAD_MODES = {
    "constant": "constant", "reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap",
    "wrap": "wrap",
}  # fmt: skip


class RearrangingMethods(GatheringMethods):
    """Repeating, flipping, rolling, padding, and moving between channels and pixels."""

    def repeat(self, *repeats: Size | Sequence[Size]) -> Tensor:
        """Repeat the whole tensor along each axis; axes may be added at the front."""
        times = sizes(repeats)
        if len(times) < self.ndim or any(isinstance(t, int) and t < 0 for t in times):
            raise GraphError(f"repeat of rank {self.ndim} takes that many counts from 0 on or more, got {times}")
        shape = (1,) * (len(times) - self.ndim) + tuple(self.shape)
        repeated = [axis for axis, t in enumerate(times) if t != 1]
        if len(repeated) > 3:  # an expansion walks two axes for each of them, and its kernel takes six
            first = tuple(1 if axis in repeated[:3] else t for axis, t in enumerate(times))
            rest = tuple(t if axis in repeated[:3] else 1 for axis, t in enumerate(times))
            return self.repeat(first).repeat(rest)
        apart = self.reshape(tuple(v for s in shape for v in (1, s)))
        apart = apart.expand(tuple(v for t, s in zip(times, shape) for v in (t, s)))
        return apart.reshape(tuple(s * t for t, s in zip(times, shape)))

    def tile(self, *dims: Size | Sequence[Size]) -> Tensor:
        """As `repeat`; what is missing in `dims` counts as 1."""
        times = sizes(dims)
        return self.repeat((1,) * (self.ndim - len(times)) + times)

    def repeat_interleave(self, repeats: int, dim: int | None = None) -> Tensor:
        """Repeat each element along an axis, or of the flattened tensor."""
        if dim is None:
            return self.flatten().repeat_interleave(repeats, 0)
        at, shape = axis_of(dim, self.ndim), self.shape
        apart = self.unsqueeze(at + 1).expand((*shape[: at + 1], repeats, *shape[at + 1 :]))
        return apart.reshape((*shape[:at], shape[at] * repeats, *shape[at + 1 :]))

    def flip(self, *dims: int | Sequence[int]) -> Tensor:
        """Reverse the order along axes."""
        axes = {axis_of(int(a), self.ndim) for a in sizes(dims)}  # type: ignore[arg-type]
        none = (None,) * self.ndim
        return self.apply(
            "slice", starts=none, stops=none, steps=tuple(-1 if a in axes else 1 for a in range(self.ndim))
        )

    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
        """Move the elements along axes; what leaves at the end comes back at the front."""
        if dims is None:
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        moves = [shifts] if isinstance(shifts, int) else list(shifts)
        axes = [dims] if isinstance(dims, int) else list(dims)
        if len(moves) != len(axes):
            raise GraphError(f"roll takes as many shifts as dims, got {shifts} and {dims}")
        t = self.lift(self)  # type: ignore[arg-type]
        for move, axis in zip(moves, axes):
            n = t.shape[axis_of(axis, t.ndim)]
            cut = -move % n if isinstance(n, int) and n else -move
            if cut:
                t = cat([t.narrow_to(axis, cut, None), t.narrow_to(axis, None, cut)], axis)
        return t

    def pad(self, pad: Sequence[Size], mode: str = "constant", value: float | Tensor = 0.0) -> Tensor:
        """Pad as `torch.nn.functional.pad`: `pad` holds (before, after) for the last axis, then the one before it.

        A negative number cuts off. `mode` is "constant", "reflect", "replicate" or "circular".
        """
        if mode not in _PAD_MODES:
            raise GraphError(f"pad mode '{mode}' is none of {', '.join(_PAD_MODES)}")
        if len(pad) % 2 or len(pad) > 2 * self.ndim:
            raise GraphError(f"pad takes pairs of sizes, for {self.ndim} axes at most, got {tuple(pad)}")
        pairs: list[tuple[Size, Size]] = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
        t = self.lift(self)  # type: ignore[arg-type]
        for i, (before, after) in enumerate(pairs):
            cut = [-p if isinstance(p, int) and p < 0 else 0 for p in (before, after)]
            if any(cut):
                t = t.narrow_to(-1 - i, cut[0], -cut[1] or None)
        grown = [tuple(0 if isinstance(p, int) and p < 0 else p for p in pair) for pair in pairs]
        if mode != "constant":
            for i, (before, after) in enumerate(grown):
                t = _mirrored(t, -1 - i, before, after, _PAD_MODES[mode])
            return t
        rest: list[tuple[Size, ...]] = [(0, 0)] * (self.ndim - len(grown))
        sides = rest + grown[::-1]
        if all(b == 0 and a == 0 for b, a in sides):
            return t
        fill = t.lift(value if isinstance(value, Methods) else np.asarray(value, dtype=t.dtype.numpy))
        return t.apply("pad", fill, before=tuple(b for b, _ in sides), after=tuple(a for _, a in sides))

    # ── channels and pixels ─────────────────────────────────────────────────────────────────────────

    def pixel_shuffle(self, upscale_factor: int) -> Tensor:
        """(…, C r r, H, W) to (…, C, H r, W r)."""
        r, (*lead, c, h, w) = upscale_factor, self.shape
        k = len(lead)
        apart = self.reshape((*lead, c // (r * r), r, r, h, w))
        return apart.permute((*range(k), k, k + 3, k + 1, k + 4, k + 2)).reshape((*lead, c // (r * r), h * r, w * r))

    def pixel_unshuffle(self, downscale_factor: int) -> Tensor:
        """(…, C, H r, W r) to (…, C r r, H, W)."""
        r, (*lead, c, h, w) = downscale_factor, self.shape
        k = len(lead)
        apart = self.reshape((*lead, c, h // r, r, w // r, r))
        return apart.permute((*range(k), k, k + 2, k + 4, k + 1, k + 3)).reshape((*lead, c * r * r, h // r, w // r))

    def channel_shuffle(self, groups: int) -> Tensor:
        """(N, g C, …) with the channels of the groups dealt out in turn."""
        n, c, *rest = self.shape
        return self.reshape((n, groups, c // groups, *rest)).transpose(1, 2).reshape(self.shape)

    def depth_to_space(self, blocksize: int, mode: str = "DCR") -> Tensor:
        """As ONNX DepthToSpace: "CRD" is `pixel_shuffle`, "DCR" has the block as the slower part of the channels."""
        if mode == "CRD":
            return self.pixel_shuffle(blocksize)
        r, (n, c, h, w) = blocksize, self.shape
        apart = self.reshape((n, r, r, c // (r * r), h, w)).permute(0, 3, 4, 1, 5, 2)
        return apart.reshape((n, c // (r * r), h * r, w * r))

    def space_to_depth(self, blocksize: int) -> Tensor:
        """As ONNX SpaceToDepth, the way back from `depth_to_space` in its mode "DCR"."""
        r, (n, c, h, w) = blocksize, self.shape
        apart = self.reshape((n, c, h // r, r, w // r, r)).permute(0, 3, 5, 1, 2, 4)
        return apart.reshape((n, c * r * r, h // r, w // r))


def _mirrored(t: Tensor, dim: int, before: Size, after: Size, mode: str) -> Tensor:
    """Pad one axis with its own elements."""
    if before == 0 and after == 0:
        return t
    from neurenix.tensor.creation import arange  # it makes the Tensor that inherits from here

    n = t.shape[dim]
    if not (isinstance(before, int) and isinstance(after, int)):
        raise GraphError(f"mode '{mode}' pads by numbers, not by '{before}' and '{after}'")
    most = {"reflect": n - 1, "wrap": n, "edge": max(before, after)}[mode]
    if isinstance(most, int) and max(before, after) > most:
        raise GraphError(f"mode '{mode}' pads an axis of {n} by {most} at most, got {before} and {after}")
    if isinstance(n, int):
        return t.index_select(dim, np.pad(np.arange(n), (before, after), mode=mode))  # type: ignore[call-overload]
    # The places themselves, computed as the model runs: a gather counts negative ones from the end.
    place, last = arange(before + n + after) - before, arange(n)[-1:]
    if mode == "edge":
        place = place.maximum(0).minimum(last)
    elif mode == "reflect":
        place = last - (last - place.abs()).abs()
    else:
        over = ex.where(ex.operand(0) > ex.operand(1), ex.operand(0) - ex.operand(1) - 1, ex.operand(0))
        place = place.map(over, last)
    return t.index_select(dim, place)
