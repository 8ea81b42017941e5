"""The row of attention: a product, a softmax and a product as one loop, which keeps no matrix of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.errors import GraphError, UnsupportedError
from neurenix.ops import flops as fl
from neurenix.ops import shapes, types
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op

# Queries whose scores one thread holds at a time; NX_QUERIES in kernels/c/attention.c.
QUERIES = 48
# How many groups of leading axes the kernel walks, each with a step of its own in every operand.
GROUPS = 3
MASKS = {"none": 0, "add": 1, "keep": 2}


def attention_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    query, key, value, *masks = (_outside(s, attrs) if i < 3 else tuple(s) for i, s in enumerate(ins))
    if attrs["mask"] not in MASKS or len(masks) != (attrs["mask"] != "none"):
        raise GraphError(f"mask={attrs['mask']!r} with {len(ins)} inputs: it is none of three, add or keep of four")
    scores = shapes.matmul([query, (*key[:-2], key[-1], key[-2])], {})
    if masks and shapes.broadcast([scores, masks[0]], {}) != scores:
        raise GraphError(f"the mask {shapes.show(masks[0])} does not broadcast to the scores {shapes.show(scores)}")
    return _outside(shapes.matmul([scores, value], {}), attrs)


def _outside(shape: Shape, attrs: Attrs) -> Shape:
    """Return a shape with its heads before its rows; where they are `inside` they come behind them."""
    if not attrs["inside"]:
        return tuple(shape)
    if len(shape) < 3:
        raise GraphError(f"{shapes.show(shape)} has no axis for heads behind its rows")
    return (*shape[:-3], shape[-2], shape[-3], shape[-1])


def _outside_array(x: Any, inside: bool) -> Any:
    return x.swapaxes(-2, -3) if inside else x


def _hidden(scores: Any, mask: Any, attrs: Mapping[str, Any]) -> Any:
    if attrs["mask"] == "add":
        return scores + mask
    return scores if mask is None else np.where(mask > 0, scores, scores.dtype.type(attrs["hidden"]))


def _attention(*ins: Array, **attrs: Any) -> Array:
    query, key, value = (_outside_array(x, attrs["inside"]) for x in ins[:3])
    scores = np.matmul(query, np.swapaxes(key, -1, -2)) * query.dtype.type(attrs["scale"])
    scores = _hidden(scores, ins[3] if len(ins) > 3 else None, attrs)
    if scores.shape[-1] == 0:
        return np.zeros(attention_shape([x.shape for x in ins], attrs), query.dtype)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.asarray(_outside_array(np.matmul(weights, value), attrs["inside"]))


def _attention_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, ...]:
    def outside(x: Any) -> Any:
        return x.transpose(-2, -3) if attrs["inside"] else x

    query, key, value = (outside(x) for x in inputs[:3])
    scores = (query * attrs["scale"]) @ key.transpose(-1, -2)
    seen = inputs[3] > 0 if attrs["mask"] == "keep" else None
    if attrs["mask"] == "add":
        scores = scores + inputs[3]
    if seen is not None:
        scores = scores.where(seen, scores.lift(attrs["hidden"]))
    weights, g = scores.softmax(-1), outside(g)
    back = g @ value.transpose(-1, -2)
    back = weights * (back - (back * weights).sum(-1, keepdim=True))
    masks = (back.sum_to(inputs[3].shape),) if attrs["mask"] == "add" else (None,) * (len(inputs) - 3)
    if seen is not None:
        back = back * seen.cast(back.dtype.name)
    made = (back @ key, back.transpose(-1, -2) @ query, weights.transpose(-1, -2) @ g)
    scales = (attrs["scale"], attrs["scale"], 1.0)
    return (*(outside((m * s).sum_to(outside(x).shape)) for m, s, x in zip(made, scales, inputs)), *masks)


# ── its kernel ──────────────────────────────────────────────────────────────────────────────────────────


def _strides(shape: Shape, inside: bool, out: Shape) -> list[Size]:
    """Return the steps in elements along the axes of `out`, of which `shape` has the last two in its own size.

    An axis along which the operand is repeated has the step 0.
    """
    memory = [product(tuple(shape[i + 1 :])) for i in range(len(shape))]
    if inside:
        memory[-3], memory[-2] = memory[-2], memory[-3]
        shape = (*shape[:-3], shape[-2], shape[-3], shape[-1])
    own: list[Size] = [0 if s == 1 else step for s, step in zip(shape[:-2], memory)]
    return [*(0,) * (len(out) - len(shape)), *own, *memory[-2:]]


def attention_steps(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> list[tuple[Size, tuple[Size, ...]]]:
    """Return the leading axes as (extent, the step in every operand and in the result), outermost first; neighbours
    that all of them walk alike become one."""
    logical = _outside(out, attrs)
    walked = [_strides(s, attrs["inside"], logical) for s in (*ins[:3], out)]
    walked += [_strides(s, False, logical) if len(s) > 1 else [0] * len(logical) for s in ins[3:]]
    steps: list[tuple[Size, tuple[Size, ...]]] = []
    for axis in range(len(logical) - 3, -1, -1):
        extent, own = logical[axis], tuple(w[axis] for w in walked)
        if extent == 1:
            continue
        if steps and all(step == inner * steps[-1][0] for step, inner in zip(own, steps[-1][1])):
            steps[-1] = (steps[-1][0] * extent, steps[-1][1])
        else:
            steps.append((extent, own))
    return steps[::-1]


def _attention_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    steps = attention_steps(ins, out, attrs)
    if len(steps) > GROUPS:
        raise UnsupportedError(
            f"attention of {' by '.join(map(shapes.show, ins))} broadcasts back and forth over {len(steps)} groups of "
            f"axes; its kernel takes {GROUPS}: expand one operand first"
        )
    steps = [(1, (0,) * (len(ins) + 1))] * (GROUPS - len(steps)) + steps
    query, key, value = (_outside(s, attrs) for s in ins[:3])
    rows = [_strides(s, attrs["inside"], _outside(out, attrs))[-2] for s in (*ins[:3], out)]
    sizes: dict[str, Size] = {f"D{i}": extent for i, (extent, _) in enumerate(steps)}
    for at, letter in enumerate("QKVYM"[: len(ins) + 1]):
        sizes |= {f"{letter}{i}": own[at] for i, (_, own) in enumerate(steps)}
    sizes |= dict(zip(("QR", "KR", "VR", "YR"), rows))
    for mask in ins[3:]:
        down, across = ((1, 1) + tuple(mask))[-2:]
        sizes |= {"MR": 0 if down == 1 else across, "MC": 0 if across == 1 else 1}
    return {**sizes, "L": query[-2], "S": key[-2], "E": query[-1], "V": value[-1]}


def _attention_scratch(sizes: Mapping[str, Size]) -> Size:
    """The keys and the values in panels, and the scores of QUERIES queries."""
    keys = (sizes["S"] + 15) // 16 * 16
    return keys * (sizes["E"] + QUERIES) + sizes["S"] * ((sizes["V"] + 7) // 8 * 8)


def _attention_flops(ins: Sequence[fl.Sizes], out: fl.Sizes, attrs: Mapping[str, Any]) -> int:
    keys = ins[1][-3 if attrs["inside"] else -2]
    scores = math.prod(out[:-1]) * keys
    return 2 * scores * (ins[0][-1] + out[-1]) + 5 * scores


def _attention_defines(attrs: Attrs) -> dict[str, str]:
    hidden = attrs["hidden"]
    return {
        "NX_MASK": str(MASKS[attrs["mask"]]), "NX_SCALE": f"{float(np.float32(attrs['scale']))!r}f",
        "NX_HIDDEN": f"({float(np.float32(hidden))!r}f)" if math.isfinite(hidden) else "(-__builtin_inff())",
    }  # fmt: skip


def _sample_attention(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    inside = bool(rng.random() < 0.4)
    leading = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(1 if inside else 0, 4))))
    rows, keys = (int(v) for v in rng.choice([1, 2, 7, 17, 40, 70], 2))
    width, made = (int(v) for v in rng.choice([1, 3, 4, 8, 20, 33], 2))

    def some(last: tuple[int, int], fixed: bool = False) -> tuple[int, ...]:
        own = leading if fixed else tuple(1 if rng.random() < 0.25 else v for v in leading)
        shape = (*own, *last)
        return (*shape[:-3], shape[-2], shape[-3], shape[-1]) if inside else shape

    given = [some((rows, width), True), some((keys, width)), some((keys, made))]
    mask = str(rng.choice(list(MASKS)))
    if mask != "none":
        full = tuple(1 if rng.random() < 0.3 else v for v in (*leading, rows, keys))
        given.append(full[int(rng.integers(0, len(full))) :])
    return given, {"scale": float(rng.uniform(0.1, 1)), "mask": mask, "hidden": -3e38, "inside": inside}


ROWS = (
    # What the compiler makes of a softmax between two products of things that it does not know beforehand.
    Op("attention", Family.CONTRACTION, "softmax(scale q kᵀ) v of q (…, L, E), k (…, S, E) and v (…, S, V); leading "
       "axes broadcast. A fourth input, which broadcasts to (…, L, S), is added to the scores, or the scores that it "
       "is not above 0 for become `hidden`. With `inside` the heads, the last leading axis, come behind L and S.", -1,
       attention_shape, _attention, dtype=types.floating, gradient=_attention_gradient, domain=(-1, 1),
       attrs={"scale": 1.0, "mask": "none", "hidden": -3e38, "inside": False}, samples=_sample_attention,
       kernel=Kernel("attention.c", _attention_sizes, (None,) * 4, epilogue=True, scratch=_attention_scratch,
                     defines=_attention_defines),
       flops=_attention_flops),
)  # fmt: skip
