// y (outer, count, inner): y[o, k] = x[o, indices[k]] of x (outer, n, inner), row-major; indices are clamped,
// and give 0 where n is 0. Threads share the rows of y. Include once; needs NX_NAME, NX_TYPE, NX_INDEX.

#include "nx_index.h"

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, nx_int count, const NX_TYPE *x,
                    const NX_INDEX *indices, NX_TYPE *y) {
  nx_int row, end;
  nx_share(part, outer * count, 1, &row, &end);
  while (row < end) {
    const nx_int o = row / count, last = nx_min_int(end, (o + 1) * count);
    const NX_TYPE *in = x + o * n * inner;
    for (; row < last; row++) {
      const NX_TYPE *from = in + nx_clamped(indices[row - o * count], n) * inner;
      NX_TYPE *out = y + row * inner;
      for (nx_int i = 0; i < inner; i++) out[i] = n ? from[i] : nx_put(NX_TYPE)(0);
    }
  }
}
