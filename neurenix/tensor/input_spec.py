"""How a model's input is declared: a shape, a text such as "float32[batch, 4]", or an example."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from neurenix.dims import Dim, Shape, Size
from neurenix.dtypes import DType, dtype
from neurenix.errors import InputError
from neurenix.tensor.tensor import Tensor

InputSpec = Union[str, Sequence[Union[int, str]], "np.ndarray[Any, Any]", Tensor]

_SPEC = re.compile(r"\s*([a-z]\w*)\s*\[([^\]]*)\]\s*")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def read_spec(name: str, spec: InputSpec) -> tuple[DType, Shape]:
    """Read one input's declaration. Raises InputError naming what is wrong with it.

    In a text a size may be an expression of dims that are axes of other inputs: "float32[batch, past + sequence]".
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the input name '{name}' must match [a-z][a-z0-9_]*, so that it can be a key in JavaScript")
    if isinstance(spec, (np.ndarray, Tensor)):
        array = spec.numpy() if isinstance(spec, Tensor) else spec
        kind = "float32" if array.dtype == np.float64 else array.dtype
        batch: Shape = (Dim.symbol("batch"),) if array.ndim else ()
        return dtype(kind), (*batch, *array.shape[1:])
    if isinstance(spec, str):
        match = _SPEC.fullmatch(spec)
        if not match:
            raise InputError(f"input '{name}': '{spec}' is not of the form 'float32[batch, 4]'")
        kind, sizes = match.group(1), [s.strip() for s in match.group(2).split(",") if s.strip()]
        return dtype(kind), tuple(_sum(name, s) for s in sizes)
    return dtype("float32"), tuple(_size(name, s) for s in spec)


def _sum(name: str, text: str) -> Size:
    """Read a size that may be a sum of products, such as `past + 2 * sequence`."""
    total: Size = 0
    for term in text.split("+"):
        product: Size = 1
        for factor in map(str.strip, term.split("*")):
            product = product * _size(name, int(factor) if factor.lstrip("-").isdigit() else factor)
        total = total + product
    return total


def _size(name: str, size: int | str) -> Size:
    if isinstance(size, str):
        if not _NAME.fullmatch(size):
            raise InputError(f"input '{name}': the dimension '{size}' must match [a-z][a-z0-9_]*")
        return Dim.symbol(size)
    if size < 0:
        raise InputError(f"input '{name}': the size {size} is negative; name it if it varies, as in [batch, 4]")
    return int(size)
