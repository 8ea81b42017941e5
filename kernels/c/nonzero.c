// y (rank, total) = the places of x's elements that are not 0, a row for each axis, and -1 behind them. x has `rank`
// axes, the last of n0 … n5, and `total` elements in all. NX_IN and NX_TYPE are the element types of x and y. Threads
// share the elements; each counts those before its own share. Include once; needs NX_NAME.

#include "nx_types.h"

static void NX_NAME(nx_part part, nx_int rank, nx_int n0, nx_int n1, nx_int n2, nx_int n3, nx_int n4, nx_int n5,
                    const NX_IN *x, NX_TYPE *y) {
  const nx_int n[6] = {n0, n1, n2, n3, n4, n5}, total = n0 * n1 * n2 * n3 * n4 * n5;
  nx_int begin, end, out = 0;
  nx_share(part, total, 1, &begin, &end);
  for (nx_int i = 0; i < begin; i++) out += nx_get(NX_IN)(x[i]) != 0;
  for (nx_int i = begin; i < end; i++) {
    if (!(nx_get(NX_IN)(x[i]) != 0)) continue;
    nx_int rest = i;
    for (nx_int axis = rank - 1; axis >= 0; axis--) {
      const nx_int size = n[6 - rank + axis];
      y[axis * total + out] = (NX_TYPE)(rest % size);
      rest /= size;
    }
    out++;
  }
  if (end < total || begin == end) return;  // the one that has the last element knows how many there are
  for (nx_int axis = 0; axis < rank; axis++)
    for (nx_int i = out; i < total; i++) y[axis * total + i] = -1;
}
