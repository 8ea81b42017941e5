// y, shaped as x (outer, n, inner) = the positions of x's elements in sorted order along the middle axis: equal ones
// keep theirs, and NaN counts as the largest. With NX_ROWS y is (outer, n), and what is sorted are the rows of `inner`
// elements, the first of which that differ decide. NX_BEFORE(a, b) says that a goes strictly before b, for numbers;
// NX_NAN_FIRST is 1 where large ones come first. NX_IN is x's element type, NX_TYPE y's. A merge sort from short
// sorted runs up: at most n log2(n) comparisons, about n where x is in order. `scratch` holds as many 32-bit values
// as y has elements. Threads share the columns. Include once for each order; needs NX_NAME.

#include "nx_reduce.h"

#define NX_RUN 8
#define NX_STEP (NX_ROWS ? 1 : inner)  // from one element of a column of y to the next

NX_INLINE int NX_PASTE(NX_NAME, _first)(NX_CALC(NX_IN) a, NX_CALC(NX_IN) b) {
  if (nx_is_nan(a) || nx_is_nan(b)) return NX_NAN_FIRST ? !nx_is_nan(b) : !nx_is_nan(a);
  return NX_BEFORE(a, b);
}

// Whether element i of a column, or row i, goes strictly before element or row k.
NX_INLINE int NX_PASTE(NX_NAME, _before)(const NX_IN *x, nx_int inner, nx_int i, nx_int k) {
  for (nx_int j = 0; j < (NX_ROWS ? inner : 1); j++) {
    const NX_CALC(NX_IN) a = nx_get(NX_IN)(x[i * inner + j]), b = nx_get(NX_IN)(x[k * inner + j]);
    if (NX_PASTE(NX_NAME, _first)(a, b)) return 1;
    if (NX_ROWS && NX_PASTE(NX_NAME, _first)(b, a)) return 0;
  }
  return 0;
}

// Merge the sorted runs [low, middle) and [middle, high) of y; the first is set aside meanwhile.
NX_INLINE void NX_PASTE(NX_NAME, _merge)(const NX_IN *x, NX_TYPE *y, nx_int inner, nx_int low, nx_int middle,
                                         nx_int high, int32_t *aside) {
  const nx_int left = middle - low;
  if (!NX_PASTE(NX_NAME, _before)(x, inner, (nx_int)y[middle * NX_STEP], (nx_int)y[(middle - 1) * NX_STEP])) return;
  for (nx_int i = 0; i < left; i++) aside[i] = (int32_t)y[(low + i) * NX_STEP];
  nx_int i = 0, k = middle, out = low;
  while (i < left && k < high) {
    const nx_int next = (nx_int)y[k * NX_STEP];
    const int take = NX_PASTE(NX_NAME, _before)(x, inner, next, aside[i]);
    y[out++ * NX_STEP] = take ? next : aside[i];
    k += take;
    i += !take;
  }
  while (i < left) y[out++ * NX_STEP] = aside[i++];
}

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, const NX_IN *x, float *scratch, NX_TYPE *y) {
  nx_int begin, end;
  nx_share(part, outer * NX_STEP, 1, &begin, &end);
  for (nx_int column = begin; column < end; column++) {
    const NX_IN *in = x + column / NX_STEP * n * inner + column % NX_STEP;
    NX_TYPE *out = y + column / NX_STEP * n * NX_STEP + column % NX_STEP;
    int32_t *aside = (int32_t *)scratch + column * n;
    for (nx_int i = 0; i < n; i++) {
      nx_int at = i;  // put i in its place in its run
      for (; at % NX_RUN && NX_PASTE(NX_NAME, _before)(in, inner, i, (nx_int)out[(at - 1) * NX_STEP]); at--)
        out[at * NX_STEP] = out[(at - 1) * NX_STEP];
      out[at * NX_STEP] = (NX_TYPE)i;
    }
    for (nx_int run = NX_RUN; run < n; run *= 2)
      for (nx_int low = 0; low + run < n; low += 2 * run)
        NX_PASTE(NX_NAME, _merge)(in, out, inner, low, low + run, nx_min_int(low + 2 * run, n), aside);
  }
}

#undef NX_RUN
#undef NX_STEP
