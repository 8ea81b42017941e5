"""The contracting rows: matrix multiplication, and convolution in its forms."""

from __future__ import annotations

from neurenix.ops import convolution, convolution_gradients, depthwise, matmul

ROWS = (*matmul.ROWS, *convolution.ROWS, *convolution_gradients.ROWS, *depthwise.ROWS)
