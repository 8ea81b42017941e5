// y[o, indices[k], i] = NX_COMBINE(y[o, indices[k], i], x[o, k, i]) for k in order; x (outer, count, inner),
// y (outer, n, inner), which holds y0 already. An index outside of n is passed over. Threads share the columns
// (o, i), so that equal indices meet in one thread. Include once; needs NX_NAME, NX_TYPE, NX_INDEX, NX_COMBINE.

#include "nx_index.h"
#include "nx_reduce.h"

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, nx_int count, const NX_TYPE *y0,
                    const NX_INDEX *indices, const NX_TYPE *x, NX_TYPE *y) {
  (void)y0;
  nx_int column, end;
  nx_share(part, outer * inner, 1, &column, &end);
  while (column < end) {
    const nx_int o = column / inner, last = nx_min_int(end, (o + 1) * inner);
    const nx_int from = column - o * inner, to = last - o * inner;
    for (nx_int k = 0; k < count; k++) {
      const nx_int place = nx_found(indices[k], n);
      if (place < 0) continue;
      const NX_TYPE *in = x + (o * count + k) * inner;
      NX_TYPE *out = y + (o * n + place) * inner;
      for (nx_int i = from; i < to; i++) out[i] = NX_COMBINE(out[i], in[i]);
    }
    column = last;
  }
}
