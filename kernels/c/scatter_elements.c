// y[o, p, i] = NX_COMBINE(y[o, p, i], x[o, k, i]) with p = indices[o, k, i], for k in order; x and the indices are
// (outer, count, inner), y (outer, n, inner) holds y0 already. An index outside of n is passed over. Threads share
// the columns (o, i), so that equal indices meet in one thread. Needs NX_NAME, NX_TYPE, NX_INDEX, NX_COMBINE.

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
    for (nx_int k = 0; k < count; k++)
      for (nx_int i = from; i < to; i++) {
        const nx_int at = (o * count + k) * inner + i, place = nx_found(indices[at], n);
        if (place < 0) continue;
        NX_TYPE *out = y + (o * n + place) * inner + i;
        *out = NX_COMBINE(*out, x[at]);
      }
    column = last;
  }
}
