"""What each op makes of axes of which only a beginning counts (see `bounded`).

It carries their lengths along, or puts something harmless in the padding's place first, or is refused: no answer ever
depends on padding. A rule takes the call and returns the value that it adds; this folder has a file for each kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurenix import ops
from neurenix.graph.bounded import Call, Rule, highest, lowest
from neurenix.graph.propagation.broadcasting import broadcast
from neurenix.graph.propagation.movement import concat, pad, permute, reshape, slices
from neurenix.graph.propagation.places import gather, gather_elements, gather_nd, non_max_suppression, nonzero, scatter
from neurenix.graph.propagation.reductions import (
    along,
    argsort,
    argsort_rows,
    images,
    last_axis_whole,
    matmul,
    mean,
    reduction,
    scan,
)
from neurenix.ops import Family

if TYPE_CHECKING:
    from neurenix.graph.builder import GraphBuilder
    from neurenix.graph.graph import Value

# Ops whose results have lengths of their own.
MAKERS = ("nonzero", "non_max_suppression")


def add(builder: GraphBuilder, op: str, inputs: Sequence[Value], attrs: Mapping[str, Any]) -> Value:
    """Add a node, with the lengths of its result. Raises UnsupportedError where padding would change the answer."""
    if op not in MAKERS and not any(v.name in builder.lengths for v in inputs):
        return builder.record(op, inputs, attrs)
    call = Call(builder, op, tuple(inputs), ops.get(op).bind(attrs))
    call.shape  # noqa: B018  (raises for inputs that do not fit: rules may count on it)
    return _rule(op)(call)


def _rule(op: str) -> Rule:
    if ops.get(op).family is Family.ELEMENTWISE:
        return broadcast
    return _RULES.get(op, _refused)


def _refused(call: Call) -> Value:
    raise call.refuse("it would mix what counts with what does not")


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("sum", "l1_norm", "l2_norm", "sum_square", "any"), reduction(lambda of: 0)),
    **dict.fromkeys(("prod", "all"), reduction(lambda of: 1)),
    **dict.fromkeys(("max", "argmax"), reduction(lowest)),
    **dict.fromkeys(("min", "argmin"), reduction(highest)),
    "mean": mean,
    "cumsum": scan,
    "cumprod": scan,
    "argsort": argsort,
    "argsort_rows": argsort_rows,
    "softmax": along(lowest),
    "log_softmax": along(lowest),
    "standardize": last_axis_whole,
    "rms_norm": last_axis_whole,
    "reshape": reshape,
    "permute": permute,
    "expand": broadcast,
    "slice": slices,
    "pad": pad,
    "concat": concat,
    "gather": gather,
    "gather_elements": gather_elements,
    "gather_nd": gather_nd,
    "scatter": scatter(lambda call: call.axis()),
    "scatter_elements": scatter(lambda call: 0),
    "scatter_nd": scatter(lambda call: None),
    "nonzero": nonzero,
    "non_max_suppression": non_max_suppression,
    "matmul": matmul,
    "batch_matmul": matmul,
    **dict.fromkeys(
        ("conv2d", "depthwise2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), images
    ),
}  # fmt: skip
