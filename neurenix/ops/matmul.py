"""The rows of matrix multiplication."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Shape, Size, product
from neurenix.errors import GraphError, UnsupportedError
from neurenix.ops import shapes, types
from neurenix.ops.op import Array, Attrs, Family, Kernel, Op
from neurenix.threads import each, held_blas

# Columns of B that one thread packs and multiplies at a time; NX_GROUP in kernels/c/batch_matmul.c.
GROUP = 64

# Multiplications that are worth a thread's while.
_PIECE = 1 << 23


def _matmul(a: Array, b: Array) -> Array:
    if b.ndim == 2 and a.ndim > 2 and a.size:  # one large product and not many small ones
        return _product(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return _product(a, b)


def _product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """Multiply in pieces of the result's longer side. BLAS's own threads would sum in another order."""
    pieces = a.shape[0] * a.shape[1] * b.shape[1] // _PIECE if a.ndim == b.ndim == 2 and a.dtype == b.dtype else 0
    if pieces < 2:
        with held_blas():
            whole = np.asarray(np.matmul(a, b))
        return whole if bias is None else np.add(whole, bias, out=whole)
    (rows, _), (_, columns) = a.shape, b.shape
    result = np.empty((rows, columns), dtype=a.dtype)
    length = max(rows, columns)
    step = -(-length // (1 << (pieces.bit_length() - 1)))  # a power of two of them: fair to 2 threads, and to 4

    def multiply(start: int) -> None:
        part = slice(start, start + step)
        if rows >= columns:
            np.matmul(a[part], b, out=result[part])
        else:
            np.matmul(a, b[:, part], out=result[:, part])
        if bias is not None:  # while the piece is in the cache
            done, added = (result[part], bias) if rows >= columns else (result[:, part], bias[part])
            np.add(done, added, out=done)

    each(multiply, range(0, length, step))
    return result


def _matmul_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    a, b = inputs
    da = (g @ b.transpose(-1, -2)).sum_to(a.shape) if a.requires_grad else None
    if not b.requires_grad:
        return da, None
    if b.ndim == 2 and a.ndim > 2:  # the sum over the batch happens inside the product
        a, g = a.reshape((-1, a.shape[-1])), g.reshape((-1, g.shape[-1]))
    if b.ndim == 2 and a.ndim == 2 and b.traced is None and b.numpy().flags.f_contiguous:
        # b is a weight turned round, and so is its gradient in memory: no one has to copy it into order
        return da, (g.transpose(0, 1) @ a).transpose(0, 1)
    return da, (a.transpose(-1, -2) @ g).sum_to(b.shape)


def _linear(x: Array, w: Array, b: Array) -> Array:
    y = _product(x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), w.T, b)
    return y.reshape(*x.shape[:-1], len(w))


def _linear_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    x, w, b = ins
    if not x or len(w) != 2 or x[-1] != w[1] or b != w[:1]:
        raise GraphError(
            f"linear takes an input (…, in), a weight (out, in) and a bias (out,); got {shapes.show(x)}, "
            f"{shapes.show(w)} and {shapes.show(b)}"
        )
    return (*x[:-1], w[0])


def _linear_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any, Any]:
    x, w, b = inputs
    shape, flat = x.shape, x
    if x.ndim != 2:  # the sums over the batch happen inside the product
        count = product(shape[:-1])
        flat, g = x.reshape((count, shape[-1])), g.reshape((count, w.shape[0]))
    dx = g.apply("matmul", w) if x.requires_grad else None
    dw = g.apply("permute", axes=(1, 0)).apply("matmul", flat) if w.requires_grad else None
    return dx if dx is None or x.ndim == 2 else dx.reshape(shape), dw, g.sum(0) if b.requires_grad else None


def _matmul_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    a, b = ins
    return {"M": product(out[:-1]), "N": b[-1], "K": a[-1]}


def _turned(b: Any, transposed: bool) -> Any:
    return b.swapaxes(-1, -2) if transposed else b


def _batch_shape(ins: Sequence[Shape], attrs: Attrs) -> Shape:
    a, b = ins
    return shapes.matmul([a, (*b[:-2], b[-1], b[-2]) if attrs["transposed"] and len(b) > 1 else b], attrs)


def _batch_gradient(g: Any, y: Any, inputs: Any, attrs: Attrs) -> tuple[Any, Any]:
    a, b = inputs
    da = g.apply("batch_matmul", b, transposed=not attrs["transposed"]).sum_to(a.shape)
    left, right = (g, a) if attrs["transposed"] else (a, g)
    return da, (left.transpose(-1, -2) @ right).sum_to(b.shape)


def batch_strides(a: Shape, b: Shape, out: Shape) -> list[tuple[Size, Size, Size]]:
    """Return the leading axes as (extent, step in A, step in B), in matrices, outermost first; neighbours that are
    walked alike become one."""
    rank = len(out) - 2
    leading = [(1,) * (rank - len(s) + 2) + tuple(s[:-2]) for s in (a, b)]
    steps: list[tuple[Size, Size, Size]] = []
    done: list[Size] = [1, 1]
    for axis in range(rank - 1, -1, -1):
        extent = out[axis]
        if extent != 1:
            own: list[Size] = [0 if s[axis] == 1 else d for s, d in zip(leading, done)]
            joins = steps and all(
                step == steps[-1][i + 1] * steps[-1][0] and (step == 0) == (steps[-1][i + 1] == 0)
                for i, step in enumerate(own)
            )
            if joins:
                steps[-1] = (steps[-1][0] * extent, steps[-1][1], steps[-1][2])
            else:
                steps.append((extent, own[0], own[1]))
        done = [d * s[axis] for d, s in zip(done, leading)]
    return steps[::-1]


def _batch_sizes(ins: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
    a, b = ins
    steps = batch_strides(a, b, out)
    if len(steps) > 3:
        raise UnsupportedError(
            f"batch_matmul of {shapes.show(a)} by {shapes.show(b)} broadcasts back and forth over {len(steps)} groups "
            "of axes; its kernel takes 3: expand one operand first"
        )
    steps = [(1, 0, 0)] * (3 - len(steps)) + steps
    return {
        **{f"D{i}": extent for i, (extent, _, _) in enumerate(steps)},
        **{f"A{i}": step for i, (_, step, _) in enumerate(steps)},
        **{f"B{i}": step for i, (_, _, step) in enumerate(steps)},
        "M": out[-2], "N": out[-1], "K": a[-1], "transposed": int(attrs["transposed"]),
    }  # fmt: skip


def _batch_scratch(sizes: Mapping[str, Size]) -> Size:
    return sizes["K"] * GROUP


def _sample_matmul(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    m, k, n = (int(v) for v in rng.integers(1, 40, 3))
    batch, other = _leading(rng)
    if rng.random() < 0.5:
        return [(*batch, m, k), (k, n)], {}
    return [(*batch, m, k), (*other, k, n)], {}


def _sample_batch(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    m, k = (int(v) for v in rng.integers(1, 60, 2))
    n = int(rng.integers(1, 150))
    batch, other = _leading(rng)
    transposed = bool(rng.integers(2))
    return [(*batch, m, k), (*other, *((n, k) if transposed else (k, n)))], {"transposed": transposed}


def _sample_linear(rng: np.random.Generator) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    n, k = (int(v) for v in rng.integers(1, 40, 2))
    return [(*(int(v) for v in rng.integers(1, 9, int(rng.integers(0, 4)))), k), (n, k), (n,)], {}


def _leading(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the leading axes of two operands, which broadcast."""
    full = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(0, 4))))
    a, b = (tuple(1 if rng.random() < 0.3 else v for v in full) for _ in range(2))
    return a[int(rng.integers(0, len(full) + 1)) :] if rng.random() < 0.3 else a, b


ROWS = (
    Op("matmul", Family.CONTRACTION, "(…, M, K) times (…, K, N); leading axes broadcast. Whole numbers keep "
       "their dtype, and wrap around.", 2, shapes.matmul,
       lambda a, b: np.einsum("...mk,...kn->...mn", a, b), dtype=types.number, compute=_matmul,
       gradient=_matmul_gradient, kernel=Kernel("matmul.c", _matmul_sizes, (None, "panel8"), epilogue=True),
       domain=(-1, 1), samples=_sample_matmul),
    # What training runs: one pass fewer over memory than a matmul and an add, which are what a traced model holds and
    # what is compiled; so it has no kernel.
    Op("linear", Family.CONTRACTION, "x (…, in) times the transpose of w (out, in), plus b (out,).", 3, _linear_shape,
       lambda x, w, b: np.einsum("...i,oi->...o", x, w) + b, dtype=types.floating, compute=_linear,
       gradient=_linear_gradient, domain=(-1, 1), samples=_sample_linear),
    # What the compiler makes of a matmul by something that it does not know beforehand.
    Op("batch_matmul", Family.CONTRACTION, "As matmul, with B given as (…, N, K) where it is `transposed`.", 2,
       _batch_shape, lambda a, b, transposed: np.einsum("...mk,...kn->...mn", a, _turned(b, transposed)),
       dtype=types.number, compute=lambda a, b, transposed: _product(a, _turned(b, transposed)),
       gradient=_batch_gradient, attrs={"transposed": False}, domain=(-1, 1), samples=_sample_batch,
       kernel=Kernel("batch_matmul.c", _batch_sizes, (None, None), epilogue=True, typed=True,
                     scratch=_batch_scratch)),
)  # fmt: skip
