// y = epilogue(softmax(NX_SCALE q kT) v) along the keys, for every entry of the batch (D0, D1, D2): q (L, E), k (S, E), v
// (S, V), y (L, V). `Q0` … `Y2` are the steps in elements from one entry to the next, 0 where an operand is broadcast, and
// `QR` … `YR` those from one row to the next. With NX_MASK 1 a mask is added to the scores; with 2 NX_HIDDEN stands for
// those that it is not above 0 for. `M0` … `M2`, `MR` and `MC` are its steps along the entries, the rows and the keys.
// Scores are kept of NX_QUERIES queries at a time, in scratch, behind the entry's keys and values in panels. Threads share
// the pairs of an entry and so many queries. Include once for each epilogue, as matmul.c.

#include "nx_row.h"
#include "nx_tile.h"

#include "nx_block.h"

#ifndef NX_ATTENTION
#define NX_ATTENTION

#define NX_QUERIES 48                  // QUERIES in neurenix/ops/attention.py
#define NX_STEP (NX_WIDE * NX_PANEL)   // keys that are taken together

// `rows` rows of `depth` values, `step` apart, turned into panels of 8 of them; what is left of the last ones becomes 0.
static void nx_pack_rows(nx_int rows, nx_int depth, nx_int step, const float *from, float *to) {
  nx_int row = 0;
  for (; row + NX_PANEL <= rows; row += NX_PANEL, to += depth * NX_PANEL)
    for (nx_int k = 0; k < depth; k++)
#pragma clang loop unroll(full)
      for (nx_int j = 0; j < NX_PANEL; j++) to[k * NX_PANEL + j] = from[(row + j) * step + k];
  if (row < rows) {
    for (nx_int k = 0; k < depth; k++)
      for (nx_int j = 0; j < NX_PANEL; j++) to[k * NX_PANEL + j] = row + j < rows ? from[(row + j) * step + k] : 0;
    to += depth * NX_PANEL;
  }
  if (NX_WIDE > 1 && (rows + NX_PANEL - 1) / NX_PANEL % NX_WIDE)
    for (nx_int k = 0; k < depth * NX_PANEL; k++) to[k] = 0;
}

// The columns of so many rows in panels of 8.
static void nx_pack_columns(nx_int rows, nx_int columns, nx_int step, const float *from, float *to) {
  for (nx_int col = 0; col < columns; col += NX_PANEL, to += rows * NX_PANEL)
    for (nx_int k = 0; k < rows; k++)
      for (nx_int v = 0; v < NX_VECTORS; v++)
        nx_store(to + k * NX_PANEL + v * NX_LANES,
                 nx_load_n(from + k * step + col + v * NX_LANES, nx_max_int(columns - col - v * NX_LANES, 0)));
}

NX_INLINE void nx_score_tile(const int rows, nx_int depth, const float *q, nx_int step, const float *keys, float *scores,
                             nx_int width) {
  nx_f32 acc[NX_ROWS][NX_WIDE * NX_VECTORS];
  nx_tile(rows, NX_WIDE, depth, q, step, keys, depth * NX_PANEL, acc);
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < NX_WIDE * NX_VECTORS; v++) nx_store(scores + r * width + v * NX_LANES, acc[r][v]);
}

// scores (rows, width) = q times the keys of all panels.
static void nx_scores(nx_int rows, nx_int depth, const float *q, nx_int step, const float *keys, float *scores,
                      nx_int width) {
  for (nx_int col = 0; col < width; col += NX_STEP) {
    const float *panel = keys + col * depth;
    nx_int r = 0;
    for (; r + NX_ROWS <= rows; r += NX_ROWS) nx_score_tile(NX_ROWS, depth, q + r * step, step, panel, scores + r * width + col, width);
    for (; r < rows; r++) nx_score_tile(1, depth, q + r * step, step, panel, scores + r * width + col, width);
  }
}

#endif

static void NX_NAME(nx_part part, nx_int D0, nx_int D1, nx_int D2, nx_int Q0, nx_int Q1, nx_int Q2, nx_int K0, nx_int K1,
                    nx_int K2, nx_int V0, nx_int V1, nx_int V2, nx_int Y0, nx_int Y1, nx_int Y2,
#if NX_MASK
                    nx_int M0, nx_int M1, nx_int M2,
#endif
                    nx_int QR, nx_int KR, nx_int VR, nx_int YR,
#if NX_MASK
                    nx_int MR, nx_int MC,
#endif
                    nx_int L, nx_int S, nx_int E, nx_int V, const float *q, const float *k, const float *v,
#if NX_MASK
                    const float *mask,
#endif
                    float *scratch, float *y NX_EPILOGUE_PARAMS) {
  const nx_int held = (S + NX_STEP - 1) / NX_STEP * NX_STEP, columns = (V + NX_PANEL - 1) / NX_PANEL * NX_PANEL;
  const nx_int stripes = V ? (L + NX_QUERIES - 1) / NX_QUERIES : 0;
  float *keys = scratch + part.thread * ((S + 15) / 16 * 16 * (E + NX_QUERIES) + S * columns);
  float *scores = keys + held * E, *values = scores + NX_QUERIES * held;
  nx_int begin, end, known = -1;
  nx_share(part, D0 * D1 * D2 * stripes, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int entry = item / stripes, d0 = entry / (D1 * D2), d1 = entry / D2 % D1, d2 = entry % D2;
    const nx_int first = item % stripes * NX_QUERIES, rows = nx_min_int(NX_QUERIES, L - first);
    if (entry != known) {
      nx_pack_rows(S, E, KR, k + d0 * K0 + d1 * K1 + d2 * K2, keys);
      nx_pack_columns(S, V, VR, v + d0 * V0 + d1 * V1 + d2 * V2, values);
      known = entry;
    }
    nx_scores(rows, E, q + d0 * Q0 + d1 * Q1 + d2 * Q2 + first * QR, QR, keys, scores, held);
    for (nx_int r = 0; r < rows && S; r++) {
      float *row = scores + r * held;
#if NX_MASK
      const float *other = mask + d0 * M0 + d1 * M1 + d2 * M2 + (first + r) * MR;
#endif
      for (nx_int i = 0; i < S; i += NX_LANES) {  // rows are whole vectors
        nx_f32 score = nx_load(row + i) * NX_SCALE;
#if NX_MASK
        const nx_f32 hides = MC ? nx_load_n(other + i, S - i) : nx_set(*other);
        score = NX_MASK == 1 ? score + hides : nx_select(hides > 0, score, nx_set(NX_HIDDEN));
#endif
        nx_store(row + i, score);
      }
      nx_row_softmax(row, row, S);
    }
    const nx_int from = d0 * Y0 + d1 * Y1 + d2 * Y2;
    NX_BLOCK(rows, V, S, scores, held, values, S * NX_PANEL, from / YR + first, from % YR, YR, y NX_EPILOGUE_ARGS);
  }
}
