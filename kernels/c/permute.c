// y (d0, d1, d2, d3) row-major, element (a, b, c, d) = x[a s0 + b s1 + c s2 + d s3]: any order of up to four axes.
// Threads share the first two axes. Include once; needs NX_NAME.

#include "nx_simd.h"

static void NX_NAME(nx_part part, nx_int d0, nx_int d1, nx_int d2, nx_int d3, nx_int s0, nx_int s1, nx_int s2,
                    nx_int s3, const float *x, float *y) {
  nx_int begin, end;
  nx_share(part, d0 * d1, 1, &begin, &end);
  for (nx_int ab = begin; ab < end; ab++) {
    const float *plane = x + ab / d1 * s0 + ab % d1 * s1;
    float *out = y + ab * d2 * d3;
    for (nx_int c = 0; c < d2; c++)
      for (nx_int d = 0; d < d3; d++) *out++ = plane[c * s2 + d * s3];
  }
}
