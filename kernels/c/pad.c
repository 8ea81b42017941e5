// y (d0, d1, d2, d3) = x (n0, n1, n2, n3) moved by (b0, b1, b2, b3), and *value around it; both row-major.
// With NX_FILL 0 the elements around x are not written. Threads share the rows of y.
// Include once; needs NX_NAME, NX_TYPE, NX_FILL.

#include "nx_simd.h"

static void NX_NAME(nx_part part, nx_int d0, nx_int d1, nx_int d2, nx_int d3, nx_int n0, nx_int n1, nx_int n2,
                    nx_int n3, nx_int b0, nx_int b1, nx_int b2, nx_int b3, const NX_TYPE *x, const NX_TYPE *value,
                    NX_TYPE *y) {
  const NX_TYPE fill = *value;
  nx_int begin, end;
  nx_share(part, d0 * d1 * d2, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const nx_int i = row / (d1 * d2) - b0, j = row / d2 % d1 - b1, k = row % d2 - b2;
    const nx_int inside = i >= 0 && i < n0 && j >= 0 && j < n1 && k >= 0 && k < n2;
    const nx_int left = inside ? b3 : d3, count = inside ? n3 : 0;
    NX_TYPE *out = y + row * d3;
    if (NX_FILL)
      for (nx_int c = 0; c < left; c++) out[c] = fill;
    if (inside) {
      const NX_TYPE *in = x + ((i * n1 + j) * n2 + k) * n3;
      for (nx_int c = 0; c < n3; c++) out[left + c] = in[c];
    }
    if (NX_FILL)
      for (nx_int c = left + count; c < d3; c++) out[c] = fill;
  }
}
