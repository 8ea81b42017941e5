"""Defines the table `[tool.neurenix.ops.NAME]`: a custom op, its kernel's source and the functions that define it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neurenix.config.keys import key
from neurenix.config.rules import (
    Problem,
    Rule,
    a_module_function,
    a_plain_value,
    a_watch_pattern,
    at_least,
    each,
    one_of,
    quote,
)
from neurenix.dtypes import DTYPES
from neurenix.ops.custom import NAME
from neurenix.ops.user_source import ANY


def _named_or_function(*names: str) -> Rule:
    """Make the rule that a text is one of some names, or 'module:function'."""

    def problem(text: str) -> str | None:
        if text in names or a_module_function(text) is None:
            return None
        return f"{quote(text)} is neither {quote(names[0])} nor 'module:function'"

    return Rule(problem, {"minLength": 1})


def _an_op_name(name: str) -> str | None:
    if NAME.fullmatch(name):
        return None
    return f"{quote(name)} is no name of an op -- use [a-z][a-z0-9_]*, with a namespace as in 'acme.soft_clip'"


def _a_source(ending: str) -> Rule:
    """Make the rule that a path names one file of the project, with an ending."""

    def problem(path: str) -> Problem:
        if a_watch_pattern(path) is None and not re.fullmatch(rf"[^*?\[\]]+\.{ending}", path):
            return f"{quote(path)} is no file's name that ends in .{ending}"
        return a_watch_pattern(path)

    return Rule(problem, {"minLength": 1, "pattern": rf"^[^\\*?\[\]]+\.{ending}$"})


an_op_name = Rule(_an_op_name, {"pattern": rf"^{NAME.pattern}$"})


@dataclass(frozen=True)
class OpConfig:
    """One custom op: a kernel in C or Zig, and the Python functions that define it. See docs/custom-kernels.md."""

    oracle: str = key("The NumPy function that defines the op: 'module:function'.", check=a_module_function)
    c: str | None = key("The kernel's source in C, relative to pyproject.toml.", default=None, check=_a_source("c"))
    zig: str | None = key(
        "The kernel's source in Zig, relative to pyproject.toml.", default=None, check=_a_source("zig")
    )
    wgsl: str | None = key(
        "The kernel as a WebGPU shader; without it models with this op run on WebAssembly.",
        default=None,
        check=_a_source("wgsl"),
    )
    shape: str = key(
        "The output's shape: 'same' as that of all inputs, or a 'module:function' of the inputs' shapes.",
        default="same",
        check=_named_or_function("same"),
    )
    dtype: str = key(
        "The output's dtype: 'same' as the first input's, a dtype, or a 'module:function' of the inputs' dtypes.",
        default="same",
        check=_named_or_function("same", *DTYPES),
    )
    sizes: str | None = key(
        "The integers that the kernel is given: a 'module:function' of the inputs' shapes, or else the output's size.",
        default=None,
        check=a_module_function,
    )
    gradient: str | None = key(
        "The gradient, for models that train with the op: 'module:function'.", default=None, check=a_module_function
    )
    covers: str | None = key(
        "How many invocations the shader takes along x, and perhaps y and z: a 'module:function' of the inputs' "
        "shapes, or else one for each element of the output.",
        default=None,
        check=a_module_function,
    )
    takes: tuple[str, ...] = key(
        "The dtype of each input, or 'any'; 'float32' when absent.",
        empty=tuple,
        check=each(one_of((ANY, *DTYPES))),
    )
    attrs: Mapping[str, Any] = key(
        "Defaults of attributes, in place of those of the oracle's keyword-only parameters.",
        empty=dict,
        check=a_plain_value,
    )
    onnx: str | None = key("The ONNX operator that imports as this op, such as 'my.domain::SoftClip'.", default=None)
    tolerance: float = key(
        "The largest accepted error of the kernel against the oracle.", default=1e-4, check=at_least(0)
    )

    @property
    def files(self) -> tuple[str, ...]:
        """The sources, relative to pyproject.toml."""
        return tuple(file for file in (self.c, self.zig, self.wgsl) if file is not None)

    def plain(self) -> dict[str, Any]:
        """Return the table as plain values that JSON can hold."""
        return asdict(self)

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        given = [name for name in ("c", "zig") if values.get(name, "unreadable") is not None]
        if len(given) != 1:
            yield "", "set exactly one of 'c' or 'zig'"
