"""What a file of a few bytes may ask for: the sizes that it makes from nothing are bounded, at run time too.

What is computed while the model is read is bounded in bytes besides, by `neurenix.tensor.limits`.
"""

from __future__ import annotations

from neurenix.dims import Shape, bounds, product
from neurenix.errors import ModelError
from neurenix.frontends.onnx.symbolic import ranges

# Elements of one tensor that Expand, Tile, Pad, Range and their like may make.
MOST_ELEMENTS = 1 << 28


def affordable(shape: Shape) -> Shape:
    """Return the shape of a tensor that an operator is to make. Raises ModelError for none, or an absurd one."""
    if any(bounds(s, ranges())[1] < 0 for s in shape):
        raise ModelError(f"it would make a tensor of shape {list(shape)}, and no size is below 0")
    most = bounds(product(shape), ranges())[1]
    if most > MOST_ELEMENTS:
        raise ModelError(
            f"it would make a tensor of shape {list(shape)}, up to {most} elements; the limit is {MOST_ELEMENTS}: "
            "give the dims smaller ranges if that is meant"
        )
    return shape
