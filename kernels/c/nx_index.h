// Indices that come from data: counted from the end when negative, and never outside.
#ifndef NX_INDEX_H
#define NX_INDEX_H

#include "nx_types.h"

// The place that an index names among n: -1 is the last one, what lies outside moves to the nearest end.
NX_INLINE nx_int nx_clamped(long long index, nx_int n) {
  if (index < 0) index += n;
  return index < 0 ? 0 : index >= n ? n - 1 : (nx_int)index;
}

// As nx_clamped, but what lies outside is -1.
NX_INLINE nx_int nx_found(long long index, nx_int n) {
  if (index < 0) index += n;
  return index < 0 || index >= n ? -1 : (nx_int)index;
}

#endif
