"""How a map walks operands that broadcast: at most three outer axes and a contiguous inner one."""

from __future__ import annotations

from collections.abc import Sequence

from neurenix.dims import Shape, Size
from neurenix.errors import UnsupportedError
from neurenix.graph.graph import Node
from neurenix.graph.plan import Operand


def map_operands(shapes: Sequence[Shape], out: Shape, node: Node) -> tuple[dict[str, Size], tuple[Operand, ...]]:
    """Return the sizes d0, d1, d2, n of a map, and how it reads each operand.

    Neighbouring axes that every operand either walks or repeats alike are joined first, so that most maps
    have one.
    """
    axes = [(s, [_extent(shape, len(out) - i) != 1 or s == 1 for shape in shapes]) for i, s in enumerate(out)]
    axes = _joined(axes) or [(1, [True] * len(shapes))]
    if len(axes) > 4:
        raise UnsupportedError(
            f"'{node.output}' ({node.label}) broadcasts in {len(axes)} separate groups of axes; its kernel takes 4"
        )
    axes = [(1, [True] * len(shapes))] * (4 - len(axes)) + axes
    operands = []
    for k in range(len(shapes)):
        step: Size = axes[3][0] if axes[3][1][k] else 1
        strides: list[Size] = []
        for size, walks in reversed(axes[:3]):
            strides.insert(0, step if walks[k] and size != 1 else 0)
            step = step * size if walks[k] else step
        operands.append(Operand((strides[0], strides[1], strides[2]), axes[3][1][k]))
    return dict(zip(("d0", "d1", "d2", "n"), (size for size, _ in axes))), tuple(operands)


def _extent(shape: Shape, from_end: int) -> Size:
    return shape[-from_end] if from_end <= len(shape) else 1


def _joined(axes: list[tuple[Size, list[bool]]]) -> list[tuple[Size, list[bool]]]:
    joined: list[tuple[Size, list[bool]]] = []
    for size, walks in axes:
        if size == 1:
            continue
        if joined and joined[-1][1] == walks:
            joined[-1] = (joined[-1][0] * size, walks)
        else:
            joined.append((size, walks))
    return joined
