// y (outer, inner) = the position along the middle axis of x (outer, n, inner) of the element that beats all others:
// NX_BEATS(x, y), the first of equal ones. A NaN beats everything but an earlier NaN. Where n is 0 it is 0.
// NX_IN is x's element type, NX_TYPE y's. Threads share the outputs. Include once for each order; needs NX_NAME.

#include "nx_reduce.h"

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, const NX_IN *x, NX_TYPE *y) {
  const nx_int strips = (inner + NX_COLUMNS - 1) / NX_COLUMNS;
  nx_int begin, end;
  nx_share(part, outer * strips, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int from = item % strips * NX_COLUMNS, columns = nx_min_int(inner - from, NX_COLUMNS);
    const NX_IN *in = x + item / strips * n * inner + from;
    NX_TYPE *out = y + item / strips * inner + from;
    NX_CALC(NX_IN) best[NX_COLUMNS];
    nx_int at[NX_COLUMNS];
    for (nx_int c = 0; c < columns; c++) best[c] = n ? nx_get(NX_IN)(in[c]) : 0, at[c] = 0;
    for (nx_int k = 1; k < n; k++) {
      in += inner;
      for (nx_int c = 0; c < columns; c++) {
        const NX_CALC(NX_IN) a = nx_get(NX_IN)(in[c]);
        if ((NX_BEATS(a, best[c]) || nx_is_nan(a)) && !nx_is_nan(best[c])) best[c] = a, at[c] = k;
      }
    }
    for (nx_int c = 0; c < columns; c++) out[c] = nx_put(NX_TYPE)(at[c]);
  }
}
