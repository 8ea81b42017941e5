"""Neurenix: train, compile, prove and ship neural networks from pyproject.toml."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurenix.session import load_model
    from neurenix.state import load, save
    from neurenix.tensor import (
        Tensor,
        arange,
        cat,
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
    from neurenix.tensor.einsum import einsum
    from neurenix.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"
__all__ = [
    "arange", "cat", "einsum", "eye", "float16", "float32", "float64", "from_numpy", "full", "full_like",
    "get_num_threads", "hstack", "int32", "int64", "int8", "linspace", "load", "load_model", "manual_seed", "meshgrid",
    "no_grad", "ones", "ones_like", "rand", "randn", "save", "set_num_threads", "stack", "Tensor", "uint8", "vstack",
    "where", "zeros", "zeros_like",
]  # fmt: skip

# Where a name is, unless it is in the library of tensors. Lazy: a build of an unchanged project imports nothing that
# computes, and a program that only trains never imports what reads bundles.
_PLACES = {
    "load_model": "neurenix.session",
    "load": "neurenix.state",
    "save": "neurenix.state",
    "get_num_threads": "neurenix.threads",
    "set_num_threads": "neurenix.threads",
}
_DTYPES = ("float16", "float32", "float64", "int8", "int32", "int64", "uint8")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'neurenix' has no attribute '{name}'")
    if name in _DTYPES:
        value = importlib.import_module("neurenix.dtypes").DTYPES[name]
    else:
        value = getattr(importlib.import_module(_PLACES.get(name, "neurenix.tensor")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
