// y[b, i0, i1, …] = NX_COMBINE(y[b, i0, i1, …], x[b, k]) where (i0, i1, …) are the `depth` indices [b, k], in order;
// x (batches, count, inner), y (batches, n0, …, n5, inner) with n = 1 beyond depth holds y0 already. A row with an
// index outside is passed over. Threads share the columns, so that equal indices meet in one thread.
// Include once; needs NX_NAME, NX_TYPE, NX_INDEX, NX_COMBINE.

#include "nx_index.h"
#include "nx_reduce.h"

static void NX_NAME(nx_part part, nx_int batches, nx_int count, nx_int depth, nx_int inner, nx_int n0, nx_int n1,
                    nx_int n2, nx_int n3, nx_int n4, nx_int n5, const NX_TYPE *y0, const NX_INDEX *indices,
                    const NX_TYPE *x, NX_TYPE *y) {
  (void)y0;
  const nx_int n[6] = {n0, n1, n2, n3, n4, n5};
  nx_int column, end;
  nx_share(part, batches * inner, 1, &column, &end);
  while (column < end) {
    const nx_int b = column / inner, last = nx_min_int(end, (b + 1) * inner);
    const nx_int from = column - b * inner, to = last - b * inner;
    for (nx_int row = b * count; row < (b + 1) * count; row++) {
      nx_int at = b, inside = 1;
      for (nx_int j = 0; j < depth; j++) {
        const nx_int place = nx_found(indices[row * depth + j], n[j]);
        inside &= place >= 0;
        at = at * n[j] + place;
      }
      if (!inside) continue;
      for (nx_int i = from; i < to; i++)
        y[at * inner + i] = NX_COMBINE(y[at * inner + i], x[row * inner + i]);
    }
    column = last;
  }
}
