// What the recurrent kernels share: the gate's sigmoid, a held state, and the product of states and weights.
//
// Included after NX_NAME; makes NX_NAME##_block with no epilogue, and NX_PRODUCT that calls it. The including file
// undefines NX_PRODUCT and the NX_EPILOGUE macros at its end.

#include "nx_tile.h"

#include "nx_math.h"

#define NX_EPILOGUE(sum, at, col, count) (sum)
#define NX_EPILOGUE_PARAMS
#define NX_EPILOGUE_ARGS

#include "nx_block.h"

// to (rows, columns) = h (rows, K), `step` values from row to row, times packed r (K, columns).
#define NX_PRODUCT(rows, columns, K, h, step, r, to) \
  NX_BLOCK(rows, columns, K, h, step, r, (K) * NX_PANEL, 0, 0, columns, to)

#ifndef NX_GATES_H
#define NX_GATES_H

NX_INLINE nx_f32 nx_gate(nx_f32 x) { return 1.0f / (nx_exp(-x) + 1.0f); }

// A sequence that has ended keeps its state.
NX_INLINE void nx_hold(float *to, const float *from, nx_int count) {
  for (nx_int j = 0; j < count; j += NX_LANES) nx_store_n(to + j, nx_load_n(from + j, count - j), count - j);
}

#endif
