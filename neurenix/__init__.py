"""Neurenix: train, compile, prove and ship neural networks from pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.tensor import Tensor, manual_seed, no_grad, ones, rand, randn, zeros

if TYPE_CHECKING:
    from neurenix.session import load_model

__version__ = "0.1.0"
__all__ = ["Tensor", "load_model", "manual_seed", "no_grad", "ones", "rand", "randn", "zeros"]


def __getattr__(name: str) -> Any:
    # Lazy: a program that only trains never imports the reader of bundles, nor one that reads the compiler.
    if name == "load_model":
        from neurenix.session import load_model

        return load_model
    raise AttributeError(f"module 'neurenix' has no attribute '{name}'")
