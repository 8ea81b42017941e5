"""WGSL from a Plan: every step's shader, where its tensors lie on a GPU, and the dispatches in order.

`printing` goes through the steps; `maps`, `contractions`, `reductions` and `moves` say what each becomes, with
templates of kernels/wgsl; `expressions` prints scalar expressions, `ranges` proves that whole numbers fit 32 bits and
`memory` hands out buffers.
"""

from neurenix.compiler.wgsl.custom import CustomShader, parse
from neurenix.compiler.wgsl.printing import LAUNCHES, WASM_ONLY, print_wgsl

__all__ = ["CustomShader", "LAUNCHES", "WASM_ONLY", "parse", "print_wgsl"]
