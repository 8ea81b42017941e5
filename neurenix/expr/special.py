"""The error function, and powers of whole numbers, as NumPy has neither: in the precision of what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Double: Cephes' rational approximations (Moshier, 1984), of erf(x) / x in x * x up to 1, and of
# exp(x * x) * erfc(x) beyond; from 6 on erf is 1. Highest powers first; a 1 leads each denominator.
_NEAR = (9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226, 7003.32514112805075473,
         55592.3013010394962768)  # fmt: skip
_NEAR_BELOW = (1.0, 33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987, 22629.0000613890934246,
               49267.3942608635921086)  # fmt: skip
_FAR = (2.46196981473530512524e-10, 0.564189564831068821977, 7.46321056442269912687, 48.6371970985681366614,
        196.520832956077098242, 526.445194995477358631, 934.528527171957607540, 1027.55188689515710272,
        557.535335369399327526)  # fmt: skip
_FAR_BELOW = (1.0, 13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062, 975.708501743205489753,
              1823.90916687909736289, 2246.33760818710981792, 1656.66309194161350182,
              557.535340817727675546)  # fmt: skip

# Single: nx_math.h's own fits, erf(x) / x - 1 in x * x, and -log(1 - erf(x)) / x - 1 in x.
_SMALL = (8.316772812e-5, -8.130012253e-4, 5.199906654e-3, -2.685894152e-2, 1.128368719e-1, -3.761263319e-1,
          1.283791666e-1)  # fmt: skip
_LARGE = (5.150920935e-6, -4.820272196e-5, -3.606226285e-5, 2.892293957e-3, -2.261199881e-2, 1.052029018e-1,
          6.356565285e-1, 1.285448987e-1)  # fmt: skip


def error_function(x: Any) -> Array:
    """Return erf(x), within 2 ulp in float32 and a few in float64."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or x.dtype == np.float64:
        return _double(x.astype(np.float64, copy=False))
    return _single(x.astype(np.float32, copy=False)).astype(x.dtype, copy=False)


def _double(x: Array) -> Array:
    a = np.abs(x)
    z = np.minimum(a, 1.0) ** 2
    near = x * _polynomial(_NEAR, z) / _polynomial(_NEAR_BELOW, z)
    c = np.clip(a, 1.0, 6.0)
    far = 1 - np.exp(-c * c) * _polynomial(_FAR, c) / _polynomial(_FAR_BELOW, c)
    return np.asarray(np.where(a < 1, near, np.copysign(far, x)))


def _single(x: Array) -> Array:
    a = np.abs(x)
    b, c = np.minimum(a, np.float32(1)), np.minimum(a, np.float32(4))
    near = b + b * _polynomial(_SMALL, b * b)
    far = -np.expm1(-(c + c * _polynomial(_LARGE, c)))
    return np.asarray(np.copysign(np.where(a < np.float32(0.92), near, far), x))


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    total: Any = x.dtype.type(coefficients[0])
    for each in coefficients[1:]:
        total = total * x + x.dtype.type(each)
    return np.asarray(total)


def power(x: Any, n: Any) -> Any:
    """Return x to the power n; a negative power of a whole number is 0 unless x is 1 or -1, as in C's integers."""
    x, n = np.asarray(x), np.asarray(n)
    if x.dtype.kind == "f" or n.dtype.kind == "f":
        return np.power(x, n)
    if n.dtype.kind == "u" or not (n < 0).any():
        return np.power(x, n)
    signs = np.where(n % 2 == 0, 1, x)
    return np.where(n < 0, np.where(np.abs(x) == 1, signs, 0), np.power(x, np.maximum(n, 0)))
