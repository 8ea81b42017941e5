// y (outer, count, inner): y[o, k, i] = x[o, indices[o, k, i], i] of x (outer, n, inner); indices are clamped, and
// give 0 where n is 0.
// Threads share the rows of y. Include once; needs NX_NAME, NX_TYPE, NX_INDEX.

#include "nx_index.h"

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, nx_int count, const NX_TYPE *x,
                    const NX_INDEX *indices, NX_TYPE *y) {
  nx_int row, end;
  nx_share(part, outer * count, 1, &row, &end);
  while (row < end) {
    const nx_int o = row / count, last = nx_min_int(end, (o + 1) * count);
    const NX_TYPE *in = x + o * n * inner;
    for (; row < last; row++)
      for (nx_int i = 0; i < inner; i++)
        y[row * inner + i] = n ? in[nx_clamped(indices[row * inner + i], n) * inner + i] : nx_put(NX_TYPE)(0);
  }
}
