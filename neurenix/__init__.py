"""Neurenix: train, compile, prove and ship neural networks from pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import DTYPES
from neurenix.tensor import (
    Tensor,
    arange,
    cat,
    einsum,
    eye,
    from_numpy,
    full,
    full_like,
    hstack,
    linspace,
    manual_seed,
    meshgrid,
    no_grad,
    ones,
    ones_like,
    rand,
    randn,
    stack,
    vstack,
    where,
    zeros,
    zeros_like,
)

if TYPE_CHECKING:
    from neurenix.session import load_model
    from neurenix.state import load, save

__version__ = "0.1.0"
__all__ = [
    "arange", "cat", "einsum", "eye", "float16", "float32", "float64", "from_numpy", "full", "full_like", "hstack",
    "int32", "int64", "int8", "linspace", "load", "load_model", "manual_seed", "meshgrid", "no_grad", "ones",
    "ones_like", "rand", "randn", "save", "stack", "Tensor", "uint8", "vstack", "where", "zeros", "zeros_like",
]  # fmt: skip

float16, float32, float64 = DTYPES["float16"], DTYPES["float32"], DTYPES["float64"]
int8, int32, int64, uint8 = DTYPES["int8"], DTYPES["int32"], DTYPES["int64"], DTYPES["uint8"]


def __getattr__(name: str) -> Any:
    # Lazy: a program that only trains never imports the reader of bundles, nor one that reads the compiler.
    if name == "load_model":
        from neurenix.session import load_model

        return load_model
    if name in ("load", "save"):
        from neurenix import state

        return getattr(state, name)
    raise AttributeError(f"module 'neurenix' has no attribute '{name}'")
