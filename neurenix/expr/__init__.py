"""Scalar expressions: built once, then evaluated with NumPy, printed to C and WGSL, differentiated by rule.

`node` builds them, `primitives` is the table of what they are made of, `algebra` and `printing` use them.
"""

from neurenix.expr.algebra import derivative, evaluate, from_json, operands_of, substitute, to_json, tree_size
from neurenix.expr.node import PRIMITIVES, Expr, Primitive, call, const, is_mask, mask, number, operand
from neurenix.expr.primitives import absolute, cast, exp, log, maximum, minimum, sqrt, tanh, where
from neurenix.expr.printing import print_c, print_c_scalar, print_wgsl

__all__ = [
    "Expr", "PRIMITIVES", "Primitive", "absolute", "call", "cast", "const",
    "derivative", "evaluate", "exp", "from_json",
    "is_mask", "log", "mask", "maximum", "minimum", "number", "operand",
    "operands_of", "print_c", "print_c_scalar", "print_wgsl", "sqrt", "substitute", "tanh",
    "to_json", "tree_size", "where",
]  # fmt: skip
