// y (n): element i = NX_PLACE(i). Threads share the elements. Include once; needs NX_NAME, NX_TYPE, NX_PLACE.

#include "nx_types.h"

static void NX_NAME(nx_part part, nx_int n, NX_TYPE *y) {
  nx_int begin, end;
  nx_share(part, n, 64, &begin, &end);
  for (nx_int i = begin; i < end; i++) y[i] = nx_put(NX_TYPE)(NX_PLACE(i));
}
