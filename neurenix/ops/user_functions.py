"""Calls the functions that define a custom op: they come from outside, may raise anything, and must not write."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.errors import GraphError, NeurenixError
from neurenix.ops.shapes import show


def asked(where: str, what: str, rule: Callable[..., Any], inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """Call a user's rule; whatever it raises is a GraphError that names it, and the op where nobody else will."""
    try:
        return rule(*inputs, **attrs)
    except NeurenixError:
        raise
    except Exception as error:
        shown = ", ".join(show(i) if isinstance(i, tuple) else str(i) for i in inputs)
        raise GraphError(f"{where}its {what} raised {type(error).__name__} for {shown}: {error}") from error


def guarded(name: str, oracle: Callable[..., Any]) -> Callable[..., Any]:
    """Return an oracle that cannot write to its inputs and returns numbers, and whose errors name the op."""

    @functools.wraps(oracle)
    def checked(*arrays: Any, **attrs: Any) -> Any:
        views = [np.asarray(array).view() for array in arrays]
        for view in views:
            view.flags.writeable = False
        shown = ", ".join(f"{view.dtype}{list(view.shape)}" for view in views)
        try:
            made = oracle(*views, **attrs)
            numbers = np.asarray(made)
        except NeurenixError:
            raise
        except Exception as error:
            raise GraphError(f"op '{name}': its oracle raised {type(error).__name__} for {shown}: {error}") from error
        if numbers.dtype.kind not in "fiub":
            raise GraphError(f"op '{name}': its oracle must return real numbers, got {numbers.dtype} for {shown}")
        return made

    return checked
