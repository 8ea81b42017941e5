// y (d0, …, d5) row-major, element (a, …, f) = x[offset + a s0 + … + f s5]: x permuted, sliced, repeated.
// Threads share the rows of d5 elements. Where x runs along d4 instead, as in a transpose, squares of NX_SQUARE by
// NX_SQUARE keep both sides in the cache. Include once; needs NX_NAME, NX_TYPE.

#include "nx_simd.h"

#ifndef NX_SQUARE
#define NX_SQUARE 16
#endif

static void NX_NAME(nx_part part, nx_int offset, nx_int d0, nx_int d1, nx_int d2, nx_int d3, nx_int d4, nx_int d5,
                    nx_int s0, nx_int s1, nx_int s2, nx_int s3, nx_int s4, nx_int s5, const NX_TYPE *x, NX_TYPE *y) {
  nx_int row, end;
  nx_share(part, d0 * d1 * d2 * d3 * d4, s4 == 1 && s5 != 1 ? NX_SQUARE : 1, &row, &end);
  while (row < end) {
    const nx_int plane = row / d4, last = nx_min_int(end, (plane + 1) * d4);
    const NX_TYPE *in = x + offset + plane / (d1 * d2 * d3) * s0 + plane / (d2 * d3) % d1 * s1 +
                        plane / d3 % d2 * s2 + plane % d3 * s3 + row % d4 * s4;
    while (s4 == 1 && s5 != 1 && row + NX_SQUARE <= last && d5 >= NX_SQUARE) {
      NX_TYPE *out = y + row * d5;
      for (nx_int i = 0; i < d5; i += NX_SQUARE) {
        const nx_int to = nx_min_int(d5, i + NX_SQUARE);
        for (nx_int r = 0; r < NX_SQUARE; r++)
          for (nx_int k = i; k < to; k++) out[r * d5 + k] = in[r + k * s5];
      }
      row += NX_SQUARE, in += NX_SQUARE;
    }
    for (; row < last; row++, in += s4) {
      NX_TYPE *out = y + row * d5;
      if (s5 == 1)
        for (nx_int i = 0; i < d5; i++) out[i] = in[i];
      else
        for (nx_int i = 0; i < d5; i++) out[i] = in[i * s5];
    }
  }
}
