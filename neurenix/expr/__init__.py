"""Scalar expressions: built once, then evaluated with NumPy, printed to C and WGSL, differentiated by rule.

`node` builds them, `primitives` is the table of what they are made of, `evaluation`, `algebra` and `printing` use them.
"""

from neurenix.expr.algebra import derivative, from_json, operands_of, substitute, times, to_json, tree_size
from neurenix.expr.evaluation import evaluate
from neurenix.expr.node import PRIMITIVES, Expr, Primitive, call, const, is_mask, mask, number, operand
from neurenix.expr.primitives import (
    absolute,
    both,
    cast,
    equal,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    negation,
    sqrt,
    tanh,
    where,
)
from neurenix.expr.printing import print_c, print_c_scalar, vectorises

__all__ = [
    "Expr", "PRIMITIVES", "Primitive", "absolute", "both", "call", "cast", "const",
    "derivative", "equal", "erf", "evaluate", "exp", "expm1", "from_json",
    "is_mask", "log", "log1p", "mask", "maximum", "minimum", "negation", "number", "operand",
    "operands_of", "print_c", "print_c_scalar", "sqrt", "substitute", "tanh",
    "times", "to_json", "tree_size", "vectorises", "where",
]  # fmt: skip
