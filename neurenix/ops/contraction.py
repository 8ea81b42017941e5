"""The contracting rows: matrix multiplication, attention, and convolution in its forms."""

from __future__ import annotations

from neurenix.ops import attention, convolution, convolution_gradients, depthwise, matmul

ROWS = (*matmul.ROWS, *attention.ROWS, *convolution.ROWS, *convolution_gradients.ROWS, *depthwise.ROWS)
