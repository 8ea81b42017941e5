// y (1): the size that a dimension has in this run. Include once; needs NX_NAME, NX_TYPE.

#include "nx_types.h"

static void NX_NAME(nx_part part, nx_int size, NX_TYPE *y) {
  if (part.thread == 0) *y = nx_put(NX_TYPE)(size);
}
