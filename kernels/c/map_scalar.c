// y (d0, d1, d2, n) row-major = a scalar expression of operands of any dtype that broadcast to it.
// As map.c, one element at a time: NX_TYPE is y's element type, and NX_MAP(i) the result for element i of the
// row that NX_MAP_AT points at. Threads share the rows, or the one row there is.

#include "nx_types.h"

static void NX_NAME(nx_part part, nx_int d0, nx_int d1, nx_int d2, nx_int n NX_MAP_PARAMS, NX_TYPE *y) {
  const nx_int rows = d0 * d1 * d2;
  nx_int begin, end, from = 0, to = n;
  if (rows > 1) {
    nx_share(part, rows, 1, &begin, &end);
  } else {
    begin = 0, end = rows;
    nx_share(part, n, 64, &from, &to);
  }
  for (nx_int row = begin; row < end; row++) {
    NX_MAP_AT(row / (d1 * d2), row / d2 % d1, row % d2)
    NX_TYPE *out = y + row * n;
    for (nx_int i = from; i < to; i++) out[i] = NX_MAP(i);
  }
}
