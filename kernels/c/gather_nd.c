// y (batches, count, inner): y[b, k] = x[b, i0, i1, …] where (i0, i1, …) are the `depth` indices [b, k], and x is
// (batches, n0, …, n5, inner) with n = 1 beyond depth; indices are clamped, and give 0 where x is empty.
// Threads share the rows of y. Include once; needs NX_NAME, NX_TYPE, NX_INDEX.

#include "nx_index.h"

static void NX_NAME(nx_part part, nx_int batches, nx_int count, nx_int depth, nx_int inner, nx_int n0, nx_int n1,
                    nx_int n2, nx_int n3, nx_int n4, nx_int n5, const NX_TYPE *x, const NX_INDEX *indices,
                    NX_TYPE *y) {
  const nx_int n[6] = {n0, n1, n2, n3, n4, n5}, some = n0 * n1 * n2 * n3 * n4 * n5 > 0;
  nx_int begin, end;
  nx_share(part, batches * count, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    nx_int at = row / count;
    for (nx_int j = 0; j < depth; j++) at = at * n[j] + nx_clamped(indices[row * depth + j], n[j]);
    for (nx_int i = 0; i < inner; i++) y[row * inner + i] = some ? x[at * inner + i] : nx_put(NX_TYPE)(0);
  }
}
