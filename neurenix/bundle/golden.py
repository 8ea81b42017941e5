"""Golden values: inputs by a formula that every language computes alike, and the answers that belong to them."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from neurenix.dims import evaluate
from neurenix.errors import BundleError
from neurenix.graph.graph import Lengths
from neurenix.graph.plan import Buffer, Plan

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Formula:
    """An input as a seed and a range; FORMAT.md states the hash."""

    seed: int
    low: float = -1.0
    high: float = 1.0

    def values(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        with np.errstate(over="ignore"):
            h = np.arange(int(np.prod(shape)), dtype=np.uint32) * np.uint32(2654435761)
            h += np.uint32(self.seed * 2246822519 & 0xFFFFFFFF)
            h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
            h = (h ^ (h >> np.uint32(13))) * np.uint32(3266489917)
            h ^= h >> np.uint32(16)
        values = self.low + (self.high - self.low) * ((h >> np.uint32(8)).astype(np.float64) / (1 << 24))
        return np.asarray((values if dtype.kind == "f" else np.floor(values)).astype(dtype).reshape(shape))


@dataclass(frozen=True)
class Stored:
    """An input that carries its bytes, little-endian and row-major."""

    data: bytes

    def values(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.frombuffer(self.data, dtype=dtype.newbyteorder("<")).astype(dtype).reshape(shape)


@dataclass(frozen=True)
class Golden:
    """One case: the dims, a formula for each input, and the reference's answers, cut to their true lengths."""

    dims: Mapping[str, int]
    inputs: Mapping[str, Formula | Stored]
    outputs: Mapping[str, Array]
    tolerance: float

    def feeds(self, plan: Plan) -> dict[str, Array]:
        """Return the inputs themselves."""
        feeds = {}
        for name, formula in self.inputs.items():
            buffer = plan.buffers[name]
            feeds[name] = formula.values(_shape(buffer, self.dims), buffer.dtype.numpy)
        return feeds

    def error(self, outputs: Mapping[str, Array]) -> float:
        """Return the largest |answer - expected| / max(1, |expected|); infinite where just one of them is NaN."""
        return max((_error(outputs[name], expected) for name, expected in self.outputs.items()), default=0.0)


def golden_dims(plan: Plan) -> list[dict[str, int]]:
    """Choose the dims of the golden cases: the smallest ones, and some that are odd and larger."""
    small = {name: low for name, (low, _) in plan.dims.items()}
    odd = {name: min(high, max(low, 3)) for name, (low, high) in plan.dims.items()}
    return [small, odd] if odd != small else [small]


def to_json(golden: Golden, lengths: Lengths = MappingProxyType({})) -> dict[str, Any]:
    """Write a case as the manifest has it. `lengths` names the outputs whose size depends on data, as a plan does."""
    found = {n: [golden.outputs[n].shape[x.axis] for x in known] for n, known in lengths.items()}
    return {
        **({"lengths": found} if found else {}),
        "dims": dict(golden.dims),
        "inputs": {name: _input_to_json(source) for name, source in golden.inputs.items()},
        "outputs": {n: base64.b64encode(_little(a).tobytes()).decode() for n, a in golden.outputs.items()},
        "tolerance": golden.tolerance,
    }


def from_json(data: Mapping[str, Any], plan: Plan) -> Golden:
    """Read a case. Raises BundleError when it does not fit the plan."""
    try:
        dims = {str(k): int(v) for k, v in data["dims"].items()}
        if dims.keys() != plan.dims.keys() or any(not low <= dims[n] <= high for n, (low, high) in plan.dims.items()):
            raise ValueError(f"its dims are {dims}")
        inputs = {name: _input_from_json(data["inputs"][name]) for name in plan.inputs}
        outputs = {}
        for name in plan.outputs:
            buffer = plan.buffers[name]
            raw = Stored(base64.b64decode(data["outputs"][name], validate=True))
            outputs[name] = raw.values(_true_shape(name, plan, dims, data), buffer.dtype.numpy)
        golden = Golden(dims, inputs, outputs, float(data["tolerance"]))
        for name, source in inputs.items():
            size = plan.buffers[name].dtype.size * math.prod(_shape(plan.buffers[name], dims))
            if isinstance(source, Stored) and len(source.data) != size:
                raise ValueError(f"the input '{name}' has {len(source.data)} bytes, not {size}")
        if not 0 <= golden.tolerance < float("inf"):
            raise ValueError(f"its tolerance is {golden.tolerance}")
        return golden
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BundleError(f"a golden case of '{plan.name}' is malformed: {error!r}") from error


def _input_to_json(source: Formula | Stored) -> dict[str, Any]:
    if isinstance(source, Stored):
        return {"data": base64.b64encode(source.data).decode()}
    return {"seed": source.seed, "low": source.low, "high": source.high}


def _input_from_json(data: Mapping[str, Any]) -> Formula | Stored:
    if "data" in data:
        return Stored(base64.b64decode(data["data"], validate=True))
    formula = Formula(int(data["seed"]), float(data["low"]), float(data["high"]))
    if not np.isfinite([formula.low, formula.high]).all():
        raise ValueError(f"an input goes from {formula.low} to {formula.high}")
    return formula


def _shape(buffer: Buffer, dims: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(evaluate(s, dims) for s in buffer.shape)


def _true_shape(name: str, plan: Plan, dims: Mapping[str, int], data: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of an output's answer, which says itself how much there is where that depends on data."""
    shape, lengths = list(_shape(plan.buffers[name], dims)), plan.lengths.get(name, ())
    found = data["lengths"][name] if lengths else []
    if len(found) != len(lengths):
        raise ValueError(f"the output '{name}' has the lengths {found}")
    for length, size in zip(lengths, found):
        if type(size) is not int or not 0 <= size <= shape[length.axis]:
            raise ValueError(f"the output '{name}' has the length {size!r}")
        shape[length.axis] = size
    return tuple(shape)


def _little(array: Array) -> Array:
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)


def _error(answer: Array, expected: Array) -> float:
    a, e = answer.astype(np.float64), expected.astype(np.float64)
    if a.shape != e.shape or (np.isnan(a) != np.isnan(e)).any():
        return float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.where((a == e) | np.isnan(e), 0.0, np.abs(a - e) / np.maximum(1.0, np.abs(e)))
    return float(difference.max(initial=0.0))
