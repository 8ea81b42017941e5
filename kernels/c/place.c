// y[offset + a s0 + … + f s5] = element (a, …, f) of x (d0, …, d5) row-major; the rest of y stays (y0 is y).
// Threads share the rows of d5 elements. Include once; needs NX_NAME, NX_TYPE.

#include "nx_simd.h"

static void NX_NAME(nx_part part, nx_int offset, nx_int d0, nx_int d1, nx_int d2, nx_int d3, nx_int d4, nx_int d5,
                    nx_int s0, nx_int s1, nx_int s2, nx_int s3, nx_int s4, nx_int s5, const NX_TYPE *y0,
                    const NX_TYPE *x, NX_TYPE *y) {
  (void)y0;
  nx_int row, end;
  nx_share(part, d0 * d1 * d2 * d3 * d4, 1, &row, &end);
  while (row < end) {
    const nx_int plane = row / d4, last = nx_min_int(end, (plane + 1) * d4);
    NX_TYPE *out = y + offset + plane / (d1 * d2 * d3) * s0 + plane / (d2 * d3) % d1 * s1 + plane / d3 % d2 * s2 +
                   plane % d3 * s3 + row % d4 * s4;
    for (; row < last; row++, out += s4) {
      const NX_TYPE *in = x + row * d5;
      if (s5 == 1)
        for (nx_int i = 0; i < d5; i++) out[i] = in[i];
      else
        for (nx_int i = 0; i < d5; i++) out[i * s5] = in[i];
    }
  }
}
