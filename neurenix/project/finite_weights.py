"""Refuses a model whose weights are no numbers: training that has diverged, or a file that is damaged."""

from __future__ import annotations

import numpy as np

from neurenix.errors import TrainingError
from neurenix.graph.graph import Graph

_NAMED = 3  # parameters in one message


def check_finite(graph: Graph) -> None:
    """Raise TrainingError naming each layer's parameter with NaN or infinity in it, and other arrays with NaN.

    Infinity is welcome elsewhere: a mask has it. So is a NaN alone, which a graph compares with.
    """
    parameters = {name for layer in graph.layers for name in layer.parameters}
    problems = []
    for name, values in graph.constants.items():
        if values.dtype.kind != "f":
            continue
        bad = ~np.isfinite(values) if name in parameters else np.isnan(values) if values.size > 1 else np.False_
        count = int(np.count_nonzero(bad))
        if count:
            problems.append(f"{count:,} of the {values.size:,} values of '{name}'")
    if problems:
        more = f" (and of {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
        raise TrainingError(
            f"{', '.join(problems[:_NAMED])}{more} are not finite: the training has diverged, or a file is damaged "
            "-- lower the learning rate, clip the gradients, or look at the data"
        )
