// y (D0, D1, D2, M, N) = epilogue(a times b) for every entry of the batch, all row-major. `A0` … `B2` are the steps from
// one entry to the next in a and in b, counted in matrices: 0 where an operand is broadcast. b is (K, N), or (N, K)
// where it is `transposed`. Include once for each epilogue, as matmul.c.
// b is not known beforehand: NX_GROUP of its columns at a time are packed into panels in scratch. Threads share the
// pairs of an entry and a group of columns, and where there are few of them the rows too.
// Other types than float (NX_TYPE) have no epilogue and no panels: plain loops over what NX_CALC says, so that whole
// numbers wrap around. Threads share the rows.

#include "nx_types.h"

#if NX_IS_FLOAT(NX_TYPE)

#include "nx_tile.h"

#include "nx_block.h"

#ifndef NX_BATCH_MATMUL_PACK
#define NX_BATCH_MATMUL_PACK

#define NX_GROUP 64     // GROUP in neurenix/ops/matmul.py
#define NX_STRIPE 192   // rows of one share: packing a group costs a small part of so many rows' products

// `count` columns of b from `col` on as panels; what is left of the last panel becomes 0.
static void nx_pack(nx_int N, nx_int K, nx_int transposed, const float *b, nx_int col, nx_int count, float *to) {
  for (nx_int at = 0; at < count; at += NX_PANEL, to += K * NX_PANEL) {
    const nx_int wide = nx_min_int(NX_PANEL, count - at);
    if (transposed) {
      const float *from = b + (col + at) * K;
      if (wide == NX_PANEL) {
        for (nx_int k = 0; k < K; k++)
#pragma clang loop unroll(full)
          for (nx_int j = 0; j < NX_PANEL; j++) to[k * NX_PANEL + j] = from[j * K + k];
      } else {
        for (nx_int k = 0; k < K; k++)
          for (nx_int j = 0; j < NX_PANEL; j++) to[k * NX_PANEL + j] = j < wide ? from[j * K + k] : 0;
      }
    } else {
      const float *from = b + col + at;
      for (nx_int k = 0; k < K; k++)
        for (nx_int v = 0; v < NX_VECTORS; v++)
          nx_store(to + k * NX_PANEL + v * NX_LANES,
                   nx_load_n(from + k * N + v * NX_LANES, nx_max_int(wide - v * NX_LANES, 0)));
    }
  }
}

#endif

static void NX_NAME(nx_part part, nx_int D0, nx_int D1, nx_int D2, nx_int A0, nx_int A1, nx_int A2, nx_int B0,
                    nx_int B1, nx_int B2, nx_int M, nx_int N, nx_int K, nx_int transposed, const float *a,
                    const float *b, float *scratch, float *y NX_EPILOGUE_PARAMS) {
  const nx_int groups = (N + NX_GROUP - 1) / NX_GROUP, stripes = (M + NX_STRIPE - 1) / NX_STRIPE;
  float *packed = scratch + part.thread * K * NX_GROUP;
  nx_int begin, end, known = -1;
  nx_share(part, D0 * D1 * D2 * groups * stripes, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int pair = item / stripes, entry = pair / groups, col = pair % groups * NX_GROUP;
    const nx_int d0 = entry / (D1 * D2), d1 = entry / D2 % D1, d2 = entry % D2;
    const nx_int count = nx_min_int(NX_GROUP, N - col);
    if (pair != known) nx_pack(N, K, transposed, b + (d0 * B0 + d1 * B1 + d2 * B2) * K * N, col, count, packed);
    known = pair;
    const float *from = a + (d0 * A0 + d1 * A1 + d2 * A2) * M * K;
    const nx_int first = item % stripes * NX_STRIPE, last = nx_min_int(first + NX_STRIPE, M);
    // 48 rows at a time stay in the second-level cache for all panels.
    for (nx_int m = first; m < last; m += 48)
      NX_BLOCK(nx_min_int(48, last - m), count, K, from + m * K, K, packed, K * NX_PANEL, entry * M + m, col, N,
               y NX_EPILOGUE_ARGS);
  }
}

#else

#ifndef NX_STRIP
#define NX_STRIP 16  // columns of y that are added up together
#endif

static void NX_NAME(nx_part part, nx_int D0, nx_int D1, nx_int D2, nx_int A0, nx_int A1, nx_int A2, nx_int B0,
                    nx_int B1, nx_int B2, nx_int M, nx_int N, nx_int K, nx_int transposed, const NX_TYPE *a,
                    const NX_TYPE *b, float *scratch, NX_TYPE *y) {
  const nx_int row_step = transposed ? 1 : N, col_step = transposed ? K : 1;
  nx_int begin, end;
  (void)scratch;
  nx_share(part, D0 * D1 * D2 * M, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const nx_int entry = row / M, d0 = entry / (D1 * D2), d1 = entry / D2 % D1, d2 = entry % D2;
    const NX_TYPE *left = a + ((d0 * A0 + d1 * A1 + d2 * A2) * M + row % M) * K;
    const NX_TYPE *right = b + (d0 * B0 + d1 * B1 + d2 * B2) * K * N;
    for (nx_int col = 0; col < N; col += NX_STRIP) {
      const nx_int count = nx_min_int(NX_STRIP, N - col);
      NX_CALC(NX_TYPE) sums[NX_STRIP];
      for (nx_int c = 0; c < count; c++) sums[c] = 0;  // not = {}: that may call memset
      for (nx_int k = 0; k < K; k++) {
        const NX_CALC(NX_TYPE) factor = nx_get(NX_TYPE)(left[k]);
        const NX_TYPE *from = right + k * row_step + col * col_step;
        for (nx_int c = 0; c < count; c++) sums[c] += factor * nx_get(NX_TYPE)(from[c * col_step]);
      }
      for (nx_int c = 0; c < count; c++) y[row * N + col + c] = nx_put(NX_TYPE)(sums[c]);
    }
  }
}

#endif
