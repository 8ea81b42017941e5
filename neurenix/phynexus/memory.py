"""Checks a call's inputs against a plan, and finds the values of its symbolic dims."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix.dims import Dim, Shape, evaluate, symbols
from neurenix.errors import DimensionError, InputError
from neurenix.graph.plan import Buffer, Plan

Array = np.ndarray[Any, Any]


def read_inputs(plan: Plan, inputs: Any) -> tuple[dict[str, Array], dict[str, int]]:
    """Return the inputs as contiguous arrays by name, and the dims that their shapes give.

    A model with one input also takes the bare array. Python lists and other float types become the declared
    dtype; an integer never stands in for a float array of another width silently. Raises InputError or
    DimensionError.
    """
    if not isinstance(inputs, Mapping):
        if len(plan.inputs) != 1:
            raise InputError(f"the model has {len(plan.inputs)} inputs ({', '.join(plan.inputs)}): pass a dict by name")
        inputs = {plan.inputs[0]: inputs}
    _check_names(plan, inputs)
    arrays: dict[str, Array] = {}
    dims: dict[str, int] = {}
    for name in plan.inputs:
        arrays[name] = _read(plan.buffers[name], inputs[name], dims)
    check_dims(plan, dims)
    for name, array in arrays.items():
        expected = tuple(evaluate(s, dims) for s in plan.buffers[name].shape)
        if array.shape != expected:
            raise InputError(f"{_mismatch(plan.buffers[name], array.shape)}; here that is {list(expected)}")
    return arrays, dims


def check_dims(plan: Plan, dims: Mapping[str, int]) -> None:
    """Raise DimensionError when a dim is outside its declared range."""
    for name, value in dims.items():
        low, high = plan.dims[name]
        if not low <= value <= high:
            raise DimensionError(
                f"'{name}' is {value}; this model was compiled for {low} to {high}: split the call, or change "
                f"dims = {{ {name} = {{ min = …, max = … }} }} and build again"
            )


def _check_names(plan: Plan, inputs: Mapping[str, Any]) -> None:
    for name in inputs:
        if name not in plan.inputs:
            near = difflib.get_close_matches(str(name), plan.inputs, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"the model has {', '.join(plan.inputs)}"
            raise InputError(f"there is no input '{name}'; {hint}")
    missing = [name for name in plan.inputs if name not in inputs]
    if missing:
        raise InputError(f"the input '{missing[0]}' is missing; the model has {', '.join(plan.inputs)}")


def _read(buffer: Buffer, data: Any, dims: dict[str, int]) -> Array:
    try:
        array = np.asarray(getattr(data, "numpy", lambda: data)())
    except (ValueError, TypeError) as error:  # rows of different lengths, an object that is no array
        raise InputError(f"input '{buffer.name}' cannot be read as an array: {error}") from error
    if array.dtype != buffer.dtype.numpy:
        convertible = not isinstance(data, np.ndarray) or array.dtype.kind == buffer.dtype.numpy.kind == "f"
        if not convertible or array.dtype.kind not in "fiub":
            raise InputError(
                f"input '{buffer.name}' must be {buffer.dtype}, got {array.dtype}: "
                f"convert it with .astype('{buffer.dtype}')"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # too large for float32 is infinity, as IEEE 754 has it
            array = array.astype(buffer.dtype.numpy)
    # A missing first axis is a batch of one.
    if array.ndim == len(buffer.shape) - 1 and isinstance(buffer.shape[0], Dim):
        array = array[None]
    if array.ndim != len(buffer.shape):
        raise InputError(_mismatch(buffer, array.shape))
    for size, got in zip(buffer.shape, array.shape):
        names = symbols(size)
        if (
            isinstance(size, Dim)
            and size == Dim.symbol(next(iter(names)))
            and dims.setdefault(next(iter(names)), got) != got
        ):
            raise InputError(f"input '{buffer.name}' has {size} = {got}, another axis has {dims[str(size)]}")
        if isinstance(size, int) and size != got:
            raise InputError(_mismatch(buffer, array.shape))
    return np.ascontiguousarray(array).reshape(array.shape)  # which makes a scalar an array of one


def _mismatch(buffer: Buffer, got: Shape) -> str:
    wanted = ", ".join(map(str, buffer.shape))
    return f"input '{buffer.name}' must have shape [{wanted}], got [{', '.join(map(str, got))}]"
