// The register tile that matmul and convolution share: a few rows of A times panels of packed B.
#ifndef NX_TILE_H
#define NX_TILE_H

#include "nx_simd.h"

// Rows x panels of one tile, chosen so that accumulators, one row of B and one splat of A fit the registers.
#if NX_LANES == 8
#define NX_ROWS 6  // 6 x 16: 12 accumulators of 16 registers
#define NX_WIDE 2
#else
#define NX_ROWS 4  // 4 x 8: 8 accumulators; V8 keeps 15 registers, larger tiles spill as clang schedules them
#define NX_WIDE 1
#endif

// acc[r][v] = sum over k < K of a[r * lda + k] * b[panel v / NX_VECTORS][k][…].
// Panels are `ldp` values apart. `rows` and `panels` are constants at every call: the loops over them unroll and acc stays in registers.
NX_INLINE void nx_tile(const int rows, const int panels, nx_int K, const float *a, nx_int lda, const float *b,
                       nx_int ldp, nx_f32 acc[NX_ROWS][NX_WIDE * NX_VECTORS]) {
  const int vectors = panels * NX_VECTORS;
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) acc[r][v] = (nx_f32){};
  const float *row[NX_ROWS];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) row[r] = a + r * lda;
#pragma clang loop unroll(disable)
  for (nx_int k = 0; k < K; k++) {
    nx_f32 line[NX_WIDE * NX_VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++)
      line[v] = nx_load(b + v / NX_VECTORS * ldp + k * NX_PANEL + v % NX_VECTORS * NX_LANES);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      const nx_f32 splat = nx_set(row[r][k]);
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) acc[r][v] = nx_fma(splat, line[v], acc[r][v]);
    }
  }
}

// One row of A by one panel. A lone row has too few accumulators to hide the latency of an addition, so K is
// cut in four strands that are added at the end.
NX_INLINE void nx_tile_row(nx_int K, const float *a, const float *b, nx_f32 acc[NX_ROWS][NX_WIDE * NX_VECTORS]) {
  nx_f32 strand[4][NX_VECTORS] = {};
  nx_int k = 0;
  for (; k + 4 <= K; k += 4)
#pragma clang loop unroll(full)
    for (int s = 0; s < 4; s++)
#pragma clang loop unroll(full)
      for (int v = 0; v < NX_VECTORS; v++)
        strand[s][v] = nx_fma(nx_set(a[k + s]), nx_load(b + (k + s) * NX_PANEL + v * NX_LANES), strand[s][v]);
  for (; k < K; k++)
    for (int v = 0; v < NX_VECTORS; v++)
      strand[0][v] = nx_fma(nx_set(a[k]), nx_load(b + k * NX_PANEL + v * NX_LANES), strand[0][v]);
  for (int v = 0; v < NX_VECTORS; v++) acc[0][v] = (strand[0][v] + strand[1][v]) + (strand[2][v] + strand[3][v]);
}

#endif
