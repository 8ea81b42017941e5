"""How large arrays are cut into pieces for threads.

Pieces are few and large: between NumPy's calls threads pass Python's lock to and fro, and a call has to be long for
that. Where a piece's numbers are added up the pieces depend on the shape alone, so that the sums are the same whatever
the number of threads; where each element stands for itself there are as many as threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from neurenix.threads import get_num_threads

# Elements of a piece that is worth a thread's while.
_PIECE = 1 << 18

# Elements beyond which one array leaves the processor's last cache before the next step reads it.
_MOST = 1 << 21


def summed(shape: Sequence[int]) -> list[slice]:
    """Return which samples, along the first axis, to add up together."""
    return _parts(shape[0], math.prod(shape) // _PIECE)


def shared(shape: Sequence[int], least: int = _PIECE) -> list[slice]:
    """Return which rows, along the first axis, a thread works on; less than `least` elements are not worth it."""
    size = math.prod(shape)
    return _parts(shape[0], max(min(size // least, get_num_threads()), size // _MOST))


def _parts(rows: int, wanted: int) -> list[slice]:
    count = min(rows, max(1, wanted))
    return [slice(rows * i // count, rows * (i + 1) // count) for i in range(count)]
