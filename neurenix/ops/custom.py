"""Ops that users register beside the table: a row made of their functions and their kernel's source.

A custom op is an `Op` like any other, so that tensors, traces, passes and printers need not know the difference. It
comes from outside: its functions may raise anything and its attributes may hold anything, which is told here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from neurenix.dims import Dim, Shape, Size, product
from neurenix.dtypes import DTYPES, DType, dtype
from neurenix.errors import GraphError, InputError, UnsupportedError
from neurenix.ops.op import REQUIRED, Attrs, Family, Kernel, Op
from neurenix.ops.shapes import show
from neurenix.ops.user_functions import asked, guarded
from neurenix.ops.user_source import ANY, UserSource

NAME = re.compile(r"([a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*")
LONGEST_NAME = 64
ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")

ShapeRule = Callable[..., Sequence[Size]]
DTypeRule = Callable[..., str]
SizesRule = Callable[..., Mapping[str, Size]]
CoversRule = Callable[..., Sequence[Size]]

_rows: dict[str, Op] = {}


def check_name(name: str) -> None:
    """Raise InputError for what cannot name a custom op."""
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise InputError(
            f"the name {name!r:.80} of a custom op must be letters, digits and '_' with one namespace before it, "
            f"as in 'acme.soft_clip', and {LONGEST_NAME} characters at most"
        )


def register(row: Op, taken: Iterable[str]) -> None:
    """Enter a row under its name. `taken` are the names of the table's ops. Raises InputError for a name that is taken.

    A row whose oracle is defined at the same place replaces the old one: a module that is imported again, or a
    notebook's cell.
    """
    if row.name in taken:
        raise InputError(f"'{row.name}' is an op of Neurenix: put a namespace before the name, as in 'acme.{row.name}'")
    old = _rows.get(row.name)
    if old is not None and _place(old.oracle) != _place(row.oracle):
        raise InputError(
            f"the custom op '{row.name}' is registered already, by {_place(old.oracle)}: give {_place(row.oracle)} "
            "a name or a namespace of its own"
        )
    onnx = source_of(row).onnx
    other = by_onnx(*onnx) if onnx else None
    if other is not None and other.name != row.name:
        raise InputError(f"'{onnx}' imports as the custom op '{other.name}' already; '{row.name}' needs another one")
    _rows[row.name] = row


def unregister(name: str) -> None:
    """Take a custom op out again. Raises GraphError when there is none of this name."""
    if _rows.pop(name, None) is None:
        raise GraphError(f"there is no custom op '{name}'; registered are {', '.join(_rows) or 'none'}")


def registered() -> Mapping[str, Op]:
    """Return the rows of all custom ops by their names."""
    return dict(_rows)


def by_name(name: str) -> Op | None:
    return _rows.get(name)


def by_onnx(domain: str, op_type: str) -> Op | None:
    """Return the custom op that an ONNX operator imports as."""
    return next((row for row in _rows.values() if source_of(row).onnx == (domain, op_type)), None)


def known(name: str, digest: str) -> Op | None:
    """Return the row that a bundle means: registered here, from the very source that it was compiled from."""
    row = _rows.get(name)
    return row if row is not None and source_of(row).digest == digest else None


def require(custom: Mapping[str, str]) -> None:
    """Raise UnsupportedError unless all these ops of a bundle are registered here, `custom` being their digests."""
    for name, digest in custom.items():
        if known(name, digest) is None:
            why = "is registered here with another source" if name in _rows else "is not registered here"
            raise UnsupportedError(
                f"the custom op '{name}' of this model {why}: import the module that registers it, or use a compiled "
                "form that the bundle ships, such as device='wasm'"
            )


def source_of(row: Op) -> UserSource:
    """Return a custom row's source."""
    assert row.kernel is not None and row.kernel.user is not None, row.name
    return row.kernel.user


def make_row(
    source: UserSource,
    oracle: Callable[..., Any],
    *,
    shape: ShapeRule | None = None,
    dtype_rule: DTypeRule | str = "same",
    sizes: SizesRule | None = None,
    gradient: Callable[..., Sequence[Any]] | None = None,
    domain: tuple[float, float] = (-10.0, 10.0),
    tolerance: float = 1e-5,
    doc: str = "",
) -> Op:
    """Return the row of a custom op. `shape` and `sizes` take the shapes, and attributes by keyword; see `register_op`.

    Without `shape` all inputs and the output have one shape; without `sizes` the kernel is given `n`, the number of
    elements of the output. Raises InputError for attributes or dtypes that a kernel cannot have.
    """
    name = source.op
    check_name(name)
    if not isinstance(tolerance, (int, float)) or not 0 <= tolerance < math.inf:
        raise InputError(f"the tolerance of '{name}' is {tolerance!r}: it is a number, 0 or more")
    for attribute, default in source.attrs.items():
        if not ATTRIBUTE.fullmatch(attribute):
            raise InputError(f"the attribute {attribute!r} of '{name}' must match {ATTRIBUTE.pattern}")
        if default is not REQUIRED and not _is_number(default):
            raise InputError(f"the attribute '{attribute}' of '{name}' is {default!r:.60}: {_NUMBERS}")
    for of in source.takes:
        if of != ANY and (of not in DTYPES or of == "float16"):
            raise InputError(
                f"'{name}' cannot take {of!r}: a dtype is 'any' or one of {', '.join(DTYPES)}, but for float16, "
                "which kernels get as float32"
            )
    if isinstance(dtype_rule, str) and dtype_rule != "same" and dtype_rule not in DTYPES:
        raise InputError(f"the dtype {dtype_rule!r} of '{name}' is neither 'same' nor one of {', '.join(DTYPES)}")

    def infer(shapes: Sequence[Shape], attrs: Attrs) -> Shape:
        _check_attrs(source.attrs, attrs)
        if shape is None:
            if any(s != shapes[0] for s in shapes):
                raise GraphError(f"the inputs have different shapes, {', '.join(map(show, shapes))}")
            return shapes[0]
        made = asked("", "shape rule", shape, shapes, attrs)
        if not isinstance(made, (tuple, list)) or not all(map(_is_size, made)):
            raise GraphError(f"its shape rule must return a tuple of sizes, got {made!r:.60}")
        return tuple(s if isinstance(s, Dim) else int(s) for s in made)

    def infer_dtype(dtypes: Sequence[DType], attrs: Attrs) -> DType:
        for at, (of, wanted) in enumerate(zip(dtypes, source.takes)):
            # Any float for a float: oracles answer in float64 for golden values. The kernel's own is held to later.
            floats = wanted in DTYPES and DTYPES[wanted].numpy.kind == of.numpy.kind == "f"
            if wanted not in (ANY, of.name) and not floats:
                raise GraphError(f"input {at} must be {wanted}, got {of}")
        if dtype_rule == "same":
            return dtypes[0]
        made = dtype_rule
        if not isinstance(made, str):
            made = asked("", "dtype rule", made, [of.name for of in dtypes], attrs)
        return _precise(dtype(made), dtypes)

    def arguments(shapes: Sequence[Shape], out: Shape, attrs: Attrs) -> dict[str, Size]:
        if sizes is None:
            return {"n": product(out)}
        made = asked(f"op '{name}': ", "rule for sizes", sizes, shapes, attrs)
        if not isinstance(made, Mapping) or not all(_is_name(k) and _is_size(v) for k, v in made.items()):
            raise GraphError(f"op '{name}': its rule for sizes must return a dict of names and sizes, got {made!r:.60}")
        return {k: v if isinstance(v, Dim) else int(v) for k, v in made.items()}

    kernel = Kernel(
        f"custom.{name}", arguments, (None,) * len(source.takes), typed=True, user=source,
        defines=lambda attrs: macros(source, attrs),
    )  # fmt: skip
    return Op(
        name, Family.CUSTOM, doc, len(source.takes), infer, guarded(name, oracle), dtype=infer_dtype,
        gradient=gradient, attrs=dict(source.attrs), domain=domain, tolerance=tolerance, kernel=kernel,
    )  # fmt: skip


def covered(row: Op, shapes: Sequence[Shape], out: Shape, attrs: Attrs) -> tuple[Size, ...]:
    """Return how many invocations a custom op's shader takes along x, perhaps y and z: by default one an element."""
    rule = source_of(row).covers
    if rule is None:
        return (product(out),)
    made = asked(f"op '{row.name}': ", "rule for what it covers", rule, shapes, attrs)
    if not isinstance(made, (tuple, list)) or not 1 <= len(made) <= 3 or not all(map(_is_size, made)):
        raise GraphError(f"op '{row.name}': its rule 'covers' must return one to three sizes, got {made!r:.60}")
    return tuple(s if isinstance(s, Dim) else int(s) for s in made)


def macros(source: UserSource, attrs: Attrs) -> dict[str, str]:
    """Return the attributes as C macros: NX_ATTR_LIMIT for `limit`; a tuple has NX_ATTR_…_COUNT beside it."""
    made = {}
    for name, value in attrs.items():
        macro = f"NX_ATTR_{name.upper()}"
        if isinstance(value, tuple):
            made[macro] = "{" + ", ".join(_literal(v, source.wide) for v in value) + "}"
            made[f"{macro}_COUNT"] = str(len(value))
        else:
            real = isinstance(source.attrs.get(name), float)
            made[macro] = _literal(float(value) if real else value, source.wide)
    return made


def _literal(value: Any, wide: bool) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return f"({value}LL)" if not -(2**31) < value < 2**31 else f"({value})"
    return f"({float(value)!r}{'' if wide else 'f'})"


_NUMBERS = (
    "an attribute is a number, a bool or a tuple of numbers, finite and of 64 bits, that the kernel is compiled with"
)


def _check_attrs(defaults: Attrs, attrs: Attrs) -> None:
    for attribute, value in attrs.items():
        default = defaults.get(attribute)
        fits = _is_number(value)
        if fits and default is not None and default is not REQUIRED:
            numbers = isinstance(default, float) and not isinstance(value, (bool, tuple))
            fits = numbers or type(value) is type(default)
        if not fits:
            raise GraphError(
                f"the attribute '{attribute}' is {value!r:.60}: {_NUMBERS}; its default is {default!r:.60}"
            )


def _is_number(value: Any) -> bool:
    if isinstance(value, tuple):
        return not any(isinstance(v, tuple) for v in value) and all(map(_is_number, value))
    if isinstance(value, (bool, int)):
        return -(2**63) < value < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isidentifier() and value.isascii()


def _is_size(value: Any) -> bool:
    if isinstance(value, Dim):
        return True
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 0


def _precise(made: DType, dtypes: Sequence[DType]) -> DType:
    """A float that is made of float64 is float64: so are golden values."""
    wide = DTYPES["float64"]
    return wide if made.numpy.kind == "f" and wide in dtypes else made


def _place(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
