"""Counts the arithmetic of one op: additions, products, comparisons and functions, each as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neurenix.expr import Expr

Sizes = tuple[int, ...]
Rule = Callable[[Sequence[Sizes], Sizes, Mapping[str, Any]], int]


def per_output(count: int) -> Rule:
    """Return the rule of an op that does so much for each element that it makes."""
    return lambda shapes, out, attrs: count * math.prod(out)


def per_input(count: int) -> Rule:
    """Return the rule of an op that does so much for each element of its first input."""
    return lambda shapes, out, attrs: count * math.prod(shapes[0])


def matmul(shapes: Sequence[Sizes], out: Sizes, attrs: Mapping[str, Any]) -> int:
    """A product and an addition for each element made and each of the K that it sums."""
    return 2 * math.prod(out) * shapes[0][-1]


def conv2d(shapes: Sequence[Sizes], out: Sizes, attrs: Mapping[str, Any]) -> int:
    """A product and an addition for each weight at each pixel, in whatever order the weights lie."""
    channels = out[-1] if attrs["layout"] == "NHWC" else out[1]
    return 2 * math.prod(shapes[1]) * (math.prod(out) // max(channels, 1))


def window(shapes: Sequence[Sizes], out: Sizes, attrs: Mapping[str, Any]) -> int:
    """One for each element of each window; windows that adapt to their image cover it once."""
    if "kernel_size" not in attrs:
        return math.prod(shapes[0])
    kernel: Sizes = attrs["kernel_size"]
    return math.prod(out) * math.prod(kernel)


def recurrent(shapes: Sequence[Sizes], out: Sizes, attrs: Mapping[str, Any]) -> int:
    """The products of every step's state with the recurrent weights, and two for each gate."""
    return math.prod(shapes[0]) * (2 * shapes[1][0] + 2)


def in_expression(expr: Expr) -> int:
    """Count the operations of a scalar expression; a part that stands in it twice is computed once."""
    found: dict[int, Expr] = {}
    waiting = [expr]
    while waiting:
        part = waiting.pop()
        if part.args and id(part) not in found:
            found[id(part)] = part
            waiting += part.args
    return len(found)
