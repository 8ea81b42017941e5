"""WGSL from a Plan: every step's shader, where its tensors lie on a GPU, and the dispatches in order.

`printing` goes through the steps; `maps`, `contractions`, `reductions` and `moves` say what each becomes, with
templates of kernels/wgsl; `expressions` prints scalar expressions, `ranges` proves that whole numbers fit 32 bits and
`memory` hands out buffers. `custom` has shaders in place of an op's own, `user_ops` those of custom ops.
"""

from neurenix.compiler.wgsl.custom import CustomShader, parse
from neurenix.compiler.wgsl.printing import LAUNCHES, print_wgsl
from neurenix.compiler.wgsl.user_ops import check_source

__all__ = ["CustomShader", "LAUNCHES", "check_source", "parse", "print_wgsl"]
