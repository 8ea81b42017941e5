// y (d0, d1, d2, n) row-major = a scalar expression of operands that broadcast to it.
// Include once for each expression, with NX_NAME; NX_MAP_PARAMS, the operands (a pointer and a stride along d0, d1
// and d2 each); NX_MAP_AT(a, b, c), which points p0, p1, … at a row of each; and NX_MAP(i, count), the vector
// of results from element i on, where an operand's last axis is walked or repeated as the expression says.
// Threads share the rows, or the one row there is.

#include "nx_math.h"

static void NX_NAME(nx_part part, nx_int d0, nx_int d1, nx_int d2, nx_int n NX_MAP_PARAMS, float *y) {
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
    float *out = y + row * n;
    nx_int i = from;
    for (; i + NX_LANES <= to; i += NX_LANES) nx_store(out + i, NX_MAP(i, NX_LANES));
    if (i < to) nx_store_n(out + i, NX_MAP(i, to - i), to - i);
  }
}
