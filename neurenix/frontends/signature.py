"""What goes into a foreign model: its inputs under names that Python and JavaScript can write, its dims with ranges."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Union

from neurenix.dims import Dim, Shape, Size, symbols
from neurenix.dtypes import DType
from neurenix.errors import InputError
from neurenix.tensor.input_spec import InputSpec, read_spec

DimSpec = Union[int, tuple[int, int]]

DEFAULT_RANGE = (1, 64)
_TERM = re.compile(r"[A-Za-z_]\w*|\d+")


def plain_name(name: str, taken: Container[str] = (), stem: str = "value") -> str:
    """Return the name as [a-z][a-z0-9_]*, not one of those taken."""
    kept = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:56]
    plain = kept if kept[:1].isalpha() else f"{stem}_{kept}".rstrip("_")
    candidates = [plain, *(f"{plain}_{i}" for i in range(1, 1000))]
    return next(c for c in candidates if c not in taken)


def checked_dims(dims: Mapping[str, DimSpec]) -> dict[str, tuple[int, int]]:
    """Return each dimension's range; one number is a range of one. Raises InputError."""
    ranges = {
        name: (spec, spec) if isinstance(spec, int) else (int(spec[0]), int(spec[1])) for name, spec in dims.items()
    }
    for name, (low, high) in ranges.items():
        if not 0 <= low <= high:
            raise InputError(f"dims: '{name}' must have 0 <= min <= max, got {low}..{high}")
    return ranges


@dataclass
class Dims:
    """The symbolic dimensions of a model while its inputs are read.

    `given` is what the user said: a range or a fixed size for each. A given name that the file does not have
    names the next dimension that the file leaves unnamed, in the order of the inputs and their axes.
    """

    given: Mapping[str, tuple[int, int]]
    known: Container[str] = ()
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    _spare: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._spare = [name for name in self.given if name not in self.known]

    def named(self, text: str) -> Size:
        """Return the size that a file calls `text`: one symbol, or a sum such as "past + 1"."""
        terms = [t.strip() for t in text.split("+")]
        if len(terms) > 1 and all(_TERM.fullmatch(t) for t in terms):
            total: Size = 0
            for term in terms:
                total = total + (int(term) if term.isdigit() else self.symbol(plain_name(term, stem="dim")))
            return total
        return self.symbol(plain_name(text, stem="dim"))

    def unnamed(self, fallback: str) -> Size:
        """Return a dimension that the file does not name: the next spare name that the user gave, or `fallback`."""
        return self.symbol(self._spare.pop(0) if self._spare else fallback)

    def symbol(self, name: str) -> Size:
        low, high = self.given.get(name, DEFAULT_RANGE)
        if low == high:
            return low
        self.ranges[name] = (low, high)
        return Dim.symbol(name)

    def declared(self, name: str, spec: InputSpec) -> tuple[DType, Shape]:
        """Read the user's own declaration of an input; its dims are the user's too."""
        of, shape = read_spec(name, spec)
        return of, tuple(s if isinstance(s, int) else self.symbol(next(iter(symbols(s)))) for s in shape)

    def check_used(self) -> None:
        """Raise InputError when the user named a dimension that no input has."""
        unused = [n for n in self._spare if n not in self.ranges]
        if unused:
            known = ", ".join(self.ranges) or "none"
            raise InputError(f"dims names '{unused[0]}', which no input has; the inputs have {known}")
