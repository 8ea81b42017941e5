"""Custom ops: a kernel in C or Zig and a NumPy function that says what it must compute, as an op like any other.

    from neurenix.custom import register_op

    @register_op("acme.soft_clip", c="soft_clip.c")
    def soft_clip(x, *, limit=1.0):
        return limit * np.tanh(x / limit)

docs/custom-kernels.md shows every way to declare and to use one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from neurenix import ops
from neurenix.compiler.wgsl import check_source
from neurenix.errors import InputError
from neurenix.kernel_check import check_call, check_shader_call
from neurenix.ops.custom import CoversRule, DTypeRule, ShapeRule, SizesRule
from neurenix.ops.op import REQUIRED
from neurenix.ops.user_source import UserSource
from neurenix.tensor import Tensor
from neurenix.tensor.tensor import apply

# A sample input is a shape, which is filled with random numbers, or an array.
Sample = Sequence[Any]
Oracle = Callable[..., Any]

# What check_op tries with an op whose inputs all have one shape.
_SHAPES = ((1,), (7,), (3, 5), (2, 3, 16), (0, 4))


class CustomOp:
    """A registered op. Call it with tensors, eagerly or while a model is traced; `oracle` is its NumPy function."""

    def __init__(self, name: str, oracle: Oracle, samples: Sequence[Sample]) -> None:
        self.name, self.oracle, self.samples = name, oracle, tuple(samples)
        self.__doc__ = oracle.__doc__

    def __call__(self, *inputs: Any, **attrs: Any) -> Tensor:
        return apply(self.name, *inputs, **attrs)

    def __repr__(self) -> str:
        return f"CustomOp({self.name!r})"


@overload
def register_op(name: str, oracle: Oracle, **options: Any) -> CustomOp: ...
@overload
def register_op(name: str, oracle: None = None, **options: Any) -> Callable[[Oracle], CustomOp]: ...


def register_op(  # type: ignore[misc]  # the overloads leave the options to this signature
    name: str,
    oracle: Oracle | None = None,
    *,
    c: str | Path | None = None,
    zig: str | Path | None = None,
    wgsl: str | Path | None = None,
    shape: str | ShapeRule = "same",
    dtype: str | DTypeRule = "same",
    sizes: SizesRule | None = None,
    covers: CoversRule | None = None,
    takes: Sequence[str] | None = None,
    attrs: Mapping[str, Any] | None = None,
    gradient: Callable[..., Sequence[Any]] | None = None,
    onnx: str | None = None,
    samples: Sequence[Sample] = (),
    tolerance: float = 1e-4,
    root: Path | None = None,
) -> CustomOp | Callable[[Oracle], CustomOp]:
    """Register an op of your own and return it; without `oracle` return a decorator for the oracle.

    The oracle takes arrays and defines the op: its positional parameters are the inputs, its keyword-only ones the
    attributes, with their defaults, which `attrs` may change. It must work in float32 and float64. One of `c` and `zig`
    is the kernel's source, as a path relative to the oracle's file (or to `root`), or as the text itself. `wgsl` is
    the shader for WebGPU; without it models with this op run on WebAssembly.

    `shape` is "same", where all inputs and the output have one shape, or a function of the inputs' shapes, with the
    attributes by keyword, that returns the output's; sizes may be symbolic. `sizes` is such a function that returns the
    integers that the kernel is given, in order, by name: by default `n`, the number of elements of the output. `covers`
    is such a function that returns how many invocations of the shader a call takes along x, and perhaps y and z: by
    default one for each element of the output. `dtype`
    is "same" as the first input's, a dtype, or such a function of the dtypes' names. `takes` has the dtype of each
    input, "float32" by default, or "any". `gradient(g, y, inputs, attrs)` returns the gradient for each input, as
    tensors or None. `onnx`, such as "my.domain::SoftClip", is the ONNX operator that imports as this op. `samples` are
    the inputs, shapes or arrays, that `check_op` tries; an attribute's values may follow as a dict. `tolerance` is the
    largest accepted |answer - oracle| / max(1, |oracle|) of the kernel.

    Raises InputError for a name that is taken, or for a declaration that does not hold together.
    """

    def register(function: Oracle) -> CustomOp:
        ops.custom.check_name(name)
        inputs, found = _signature(name, function)
        defaults = {**found, **{k: _tuple(v) for k, v in (attrs or {}).items()}}
        unknown = sorted(set(defaults) - set(found))
        if unknown and not _takes_any(function):
            raise InputError(
                f"attrs of '{name}' has '{unknown[0]}', which the oracle has not; it has {', '.join(found) or 'none'}"
            )
        if isinstance(takes, str):
            raise InputError(f"'{name}' takes {takes!r}: it is a list with the dtype of each input, as in [{takes!r}]")
        if takes is not None and inputs is not None and len(takes) != inputs:
            raise InputError(f"'{name}' takes {len(takes)} dtypes, and its oracle {inputs} inputs")
        folder = root or _folder(function)
        language, kernel = _one_of(name, c, zig)
        file, text = _read(name, kernel, language, folder)
        source = UserSource(
            name, file, text, tuple(takes or ("float32",) * (inputs or 1)), defaults,
            None if wgsl is None else _read(name, wgsl, "wgsl", folder)[1],
            None if onnx is None else _operator(name, onnx), covers,
        )  # fmt: skip
        if shape != "same" and not callable(shape):
            raise InputError(f"the shape of '{name}' is {shape!r}: it is 'same' or a function of the inputs' shapes")
        if source.wgsl is not None:
            check_source(source, ["n"] if sizes is None else None)
        row = ops.custom.make_row(
            source, function, shape=shape if callable(shape) else None, dtype_rule=dtype, sizes=sizes,
            gradient=gradient, tolerance=tolerance, doc=inspect.getdoc(function) or "",
        )  # fmt: skip
        ops.custom.register(row, ops.OPS)
        tried = samples or ([[each] * row.arity for each in _SHAPES] if shape == "same" else [])
        made = _made[name] = CustomOp(name, function, tried)
        return made

    return register if oracle is None else register(oracle)


_made: dict[str, CustomOp] = {}


def unregister_op(op: str | CustomOp) -> None:
    """Take a custom op out again. Raises GraphError when there is none of this name."""
    name = op if isinstance(op, str) else op.name
    ops.custom.unregister(name)
    del _made[name]


def registered_ops() -> tuple[CustomOp, ...]:
    """Return all custom ops, in the order of their registration."""
    return tuple(_made.values())


def check_op(op: str | CustomOp, samples: Sequence[Sample] | None = None, seed: int = 0) -> float:
    """Compile an op's kernel, hold it to the oracle on its samples, and return the largest error.

    The shader of an op that has one is run as well. `samples` are those of `register_op`. Raises VerificationError with
    the numbers that differ, CompileError with the compiler's message for a source that does not compile, InputError
    where there is no sample, DeviceError where there is a shader and no adapter to run it.
    """
    row = ops.get(op if isinstance(op, str) else op.name)
    rng = np.random.default_rng(seed)
    tried = samples if samples is not None else _made[row.name].samples
    if not tried:
        raise InputError(f"'{row.name}' has a shape rule of its own: give check_op samples=[[(2, 3), (3,)], …]")
    worst = 0.0
    for sample in tried:
        given = dict(sample[-1]) if sample and isinstance(sample[-1], Mapping) else {}
        inputs = sample[:-1] if sample and isinstance(sample[-1], Mapping) else sample
        if len(inputs) != row.arity:
            raise InputError(f"a sample of '{row.name}' has {len(inputs)} inputs, the op takes {row.arity}")
        arrays = [_filled(x, of, row.domain, rng) for x, of in zip(inputs, ops.custom.source_of(row).takes)]
        worst = max(worst, check_call(row, arrays, row.bind(given)))
        if ops.custom.source_of(row).wgsl is not None:
            worst = max(worst, check_shader_call(row, arrays, row.bind(given)))
    return worst


def _filled(
    given: Any, of: str, domain: tuple[float, float], rng: np.random.Generator
) -> np.ndarray[Any, np.dtype[Any]]:
    if not isinstance(given, (tuple, list)) or any(not isinstance(s, int) for s in given):
        return np.asarray(given)
    kind = np.dtype("float32" if of == "any" else of)
    numbers = rng.uniform(*domain, tuple(given)) if kind.kind == "f" else rng.integers(0, 2, tuple(given))
    return numbers.astype(kind)


def _signature(name: str, oracle: Oracle) -> tuple[int | None, dict[str, Any]]:
    """Return the number of inputs and the attributes of an oracle; None where it takes any number."""
    try:
        parameters = list(inspect.signature(oracle).parameters.values())
    except (TypeError, ValueError) as error:
        raise InputError(f"the oracle of '{name}' must be a Python function: {error}") from error
    attributes = {
        p.name: REQUIRED if p.default is p.empty else _tuple(p.default) for p in parameters if p.kind is p.KEYWORD_ONLY
    }
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.default is not p.empty for p in positional):
        raise InputError(
            f"the oracle of '{name}' has a default for an input: attributes stand behind a '*', as in "
            "def oracle(x, *, limit=1.0)"
        )
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not positional and not variadic:
        raise InputError(f"the oracle of '{name}' takes no input")
    return None if variadic else len(positional), attributes


def _takes_any(oracle: Oracle) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(oracle).parameters.values())


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _folder(oracle: Oracle) -> Path:
    try:
        file = inspect.getsourcefile(inspect.unwrap(oracle))
    except TypeError:
        file = None
    return Path(file).parent if file is not None and Path(file).is_file() else Path.cwd()


def _one_of(name: str, c: str | Path | None, zig: str | Path | None) -> tuple[str, str | Path]:
    given = [(language, source) for language, source in (("c", c), ("zig", zig)) if source is not None]
    if len(given) != 1:
        raise InputError(f"'{name}' needs one kernel, c=… or zig=…, and got {len(given)}")
    return given[0]


def _read(name: str, source: str | Path, language: str, folder: Path) -> tuple[str, str]:
    """Return a source's file name, in plain letters, and its text."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if isinstance(source, str) and ("\n" in source or "{" in source):
        return f"{plain}.{language}", source
    path = folder / source
    if path.suffix != f".{language}":
        raise InputError(f"the source of '{name}' is '{source}': its name must end in .{language}")
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: what is no UTF-8, or no path
        raise InputError(f"the source of '{name}' cannot be read, {path}: {error}") from error
    return f"{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}.{language}", text


def _operator(name: str, text: str) -> tuple[str, str]:
    domain, _, op_type = text.rpartition("::")
    if not re.fullmatch(r"[A-Za-z][\w.-]*", domain) or not re.fullmatch(r"[A-Za-z]\w*", op_type):
        raise InputError(f"'{name}': onnx is {text!r}, and must be 'domain::Operator', as in 'my.domain::SoftClip'")
    if domain.startswith("ai.onnx"):
        raise InputError(f"'{name}': the domain '{domain}' is ONNX's own; choose one of yours, as in 'my.domain'")
    return domain, op_type


__all__ = ["CustomOp", "check_op", "register_op", "registered_ops", "unregister_op"]
