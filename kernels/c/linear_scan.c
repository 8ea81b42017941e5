// y = a linear recurrence along the middle axis of a and b, both (outer, n, inner): y[k] = a[k] y[k-1] + b[k], from 0.
// Backwards where NX_REVERSE is 1. Where NX_EXCLUSIVE is 1, y[k] is what the recurrence had before k; where NX_LATE is
// 1, y[k] = a[k-1] y[k-1] + b[k]. Carried in double, so that float32 is rounded once. Threads share the columns.
// Include once for each kind of scan; needs NX_NAME, NX_TYPE.

#include "nx_reduce.h"

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, const NX_TYPE *a, const NX_TYPE *b,
                    NX_TYPE *y) {
  const nx_int strips = (inner + NX_COLUMNS - 1) / NX_COLUMNS;
  nx_int begin, end;
  nx_share(part, outer * strips, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int from = item % strips * NX_COLUMNS, columns = nx_min_int(inner - from, NX_COLUMNS);
    const nx_int base = item / strips * n * inner + from;
    double carry[NX_COLUMNS];
    for (nx_int c = 0; c < columns; c++) carry[c] = 0;
    for (nx_int k = 0; k < n; k++) {
      const nx_int row = base + (NX_REVERSE ? n - 1 - k : k) * inner;
      for (nx_int c = 0; c < columns; c++) {
        const double before = carry[c], factor = nx_get(NX_TYPE)(a[row + c]), term = nx_get(NX_TYPE)(b[row + c]);
        const double next = NX_LATE ? before + term : factor * before + term;
        y[row + c] = nx_put(NX_TYPE)(NX_EXCLUSIVE ? before : next);
        carry[c] = NX_LATE ? factor * next : next;
      }
    }
  }
}
