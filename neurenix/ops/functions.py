"""The rows of functions of one float: exponentials, logarithms, trigonometric and hyperbolic ones, and erf."""

from __future__ import annotations

import math

import numpy as np

from neurenix.ops import types
from neurenix.ops.elementwise import primitive, row
from neurenix.ops.op import Array, Op

_erf = np.vectorize(math.erf, otypes=[float])

# Name, NumPy's function, what it is, the domain of samples.
_FUNCTIONS = (
    ("exp", np.exp, "e to the power x", (-80, 80)),
    ("exp2", np.exp2, "2 to the power x", (-80, 80)),
    ("expm1", np.expm1, "exp(x) - 1, exact near 0 too", (-80, 80)),
    ("log", np.log, "The natural logarithm", (1e-6, 1e6)),
    ("log2", np.log2, "The logarithm to base 2", (1e-6, 1e6)),
    ("log10", np.log10, "The logarithm to base 10", (1e-6, 1e6)),
    ("log1p", np.log1p, "log(1 + x), exact near 0 too", (1e-6, 1e6)),
    ("sin", np.sin, "The sine of x radians", (-10, 10)),
    ("cos", np.cos, "The cosine of x radians", (-10, 10)),
    ("tan", np.tan, "The tangent of x radians", (-1.4, 1.4)),
    ("asin", np.arcsin, "The arcsine; NaN beyond 1", (-0.95, 0.95)),
    ("acos", np.arccos, "The arccosine; NaN beyond 1", (-0.95, 0.95)),
    ("atan", np.arctan, "The arctangent", (-10, 10)),
    ("sinh", np.sinh, "The hyperbolic sine", (-10, 10)),
    ("cosh", np.cosh, "The hyperbolic cosine", (-10, 10)),
    ("tanh", np.tanh, "The hyperbolic tangent", (-10, 10)),
    ("asinh", np.arcsinh, "The inverse hyperbolic sine", (-10, 10)),
    ("acosh", np.arccosh, "The inverse hyperbolic cosine; NaN below 1", (1.05, 50)),
    ("atanh", np.arctanh, "The inverse hyperbolic tangent; NaN beyond 1", (-0.95, 0.95)),
)


def error_function(x: Array) -> Array:
    """Return erf(x), one value after another: slow, and independent of what the library computes with."""
    return np.asarray(_erf(x)).astype(np.result_type(x))


def _function(name: str, numpy: np.ufunc, doc: str, domain: tuple[float, float]) -> Op:
    return row(name, 1, primitive(name), numpy, f"{doc}.", dtype=types.floating, domain=domain)


ROWS = (
    *(_function(*each) for each in _FUNCTIONS),
    row("erf", 1, primitive("erf"), error_function, "The error function.", dtype=types.floating),
    row("atan2", 2, primitive("atan2"), np.arctan2, "The angle of the point (b, a), from -pi to pi.",
        dtype=types.floating, domain=(0.1, 10)),
)  # fmt: skip
