// y, shaped as x (outer, n, inner): element k along the middle axis is NX_COMBINE of the first k + 1 elements of x,
// of the first k where NX_EXCLUSIVE is 1, counted from the end where NX_REVERSE is 1; NX_INIT is what none make.
// Floats are carried in double, so that float32 is rounded once; integers in 64 bits. NX_IN and NX_TYPE are the
// element types of x and y. Threads share the columns. Include once for each kind of scan; needs NX_NAME.

#include "nx_reduce.h"

#define NX_CARRY __typeof__(_Generic((NX_CALC(NX_IN))0, float: 0.0, double: 0.0, default: 0ll))

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, const NX_IN *x, NX_TYPE *y) {
  const nx_int strips = (inner + NX_COLUMNS - 1) / NX_COLUMNS;
  nx_int begin, end;
  nx_share(part, outer * strips, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int from = item % strips * NX_COLUMNS, columns = nx_min_int(inner - from, NX_COLUMNS);
    const nx_int base = item / strips * n * inner + from;
    NX_CARRY carry[NX_COLUMNS];
    for (nx_int c = 0; c < columns; c++) carry[c] = NX_INIT;
    for (nx_int k = 0; k < n; k++) {
      const nx_int row = base + (NX_REVERSE ? n - 1 - k : k) * inner;
      for (nx_int c = 0; c < columns; c++) {
        const NX_CARRY next = NX_COMBINE(carry[c], nx_get(NX_IN)(x[row + c]));
        y[row + c] = nx_put(NX_TYPE)(NX_EXCLUSIVE ? carry[c] : next);
        carry[c] = next;
      }
    }
  }
}

#undef NX_CARRY
