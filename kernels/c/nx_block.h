// Rows [0, rows) of A times all panels of B, with the epilogue that the including file has defined.
//
// Included after NX_NAME, NX_EPILOGUE, NX_EPILOGUE_PARAMS and NX_EPILOGUE_ARGS; makes NX_NAME##_block:
//   a (rows, K) with row stride lda; b packed panels of (K, N), `ldp` values from one panel to the next; the result goes
//   to the columns [base, base + N) of y, whose rows have ldy values, row 0 being row `first`.
// With NX_EPILOGUE_APART the epilogue is a loop over the stored tile, and not written out for each of its registers:
// it has a function in it, such as exp, and would take the registers from the products otherwise.

#define NX_JOIN_(a, b) a##b
#define NX_JOIN(a, b) NX_JOIN_(a, b)
#define NX_BLOCK NX_JOIN(NX_NAME, _block)
#define NX_STORE_TILE NX_JOIN(NX_NAME, _finish)

// Apply the epilogue to a tile and store it. The last panel may hang over the edge of y.
NX_INLINE void NX_STORE_TILE(const int rows, const int panels, nx_f32 acc[NX_ROWS][NX_WIDE * NX_VECTORS], nx_int row,
                         nx_int col, nx_int end, nx_int ldy, float *y NX_EPILOGUE_PARAMS) {
#ifdef NX_EPILOGUE_APART
  nx_f32 held[NX_ROWS][NX_WIDE * NX_VECTORS];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < panels * NX_VECTORS; v++) held[r][v] = acc[r][v];
#pragma clang loop unroll(disable)
  for (int v = 0; v < panels * NX_VECTORS; v++) {
    const nx_int at = col + v * NX_LANES, count = nx_min_int(end - at, NX_LANES);
#pragma clang loop unroll(disable)
    for (int r = 0; r < rows && count > 0; r++)
      nx_store_n(y + (row + r) * ldy + at, NX_EPILOGUE(held[r][v], (row + r) * ldy + at, at, count NX_EPILOGUE_ARGS), count);
  }
#else
#pragma clang loop unroll(full)
  for (int v = 0; v < panels * NX_VECTORS; v++) {
    const nx_int at = col + v * NX_LANES, left = end - at;
    if (left >= NX_LANES) {
#pragma clang loop unroll(full)
      for (int r = 0; r < rows; r++)
        nx_store(y + (row + r) * ldy + at, NX_EPILOGUE(acc[r][v], (row + r) * ldy + at, at, NX_LANES NX_EPILOGUE_ARGS));
    } else if (left > 0) {
#pragma clang loop unroll(disable)
      for (int r = 0; r < rows; r++)
        nx_store_n(y + (row + r) * ldy + at, NX_EPILOGUE(acc[r][v], (row + r) * ldy + at, at, left NX_EPILOGUE_ARGS), left);
    }
  }
#endif
}

#define NX_RUN_TILE(ROWS, PANELS)                                               \
  do {                                                                          \
    nx_tile(ROWS, PANELS, K, from, lda, panel, ldp, acc);                       \
    NX_STORE_TILE(ROWS, PANELS, acc, first + r, base + col, base + N, ldy, y NX_EPILOGUE_ARGS); \
  } while (0)

static void NX_BLOCK(nx_int rows, nx_int N, nx_int K, const float *a, nx_int lda, const float *b, nx_int ldp,
                     nx_int first, nx_int base, nx_int ldy, float *y NX_EPILOGUE_PARAMS) {
  nx_f32 acc[NX_ROWS][NX_WIDE * NX_VECTORS];
  nx_int col = 0;
  // Panels outside, rows inside: a panel stays in the first-level cache while the rows stream past it.
  for (; NX_WIDE > 1 && col + NX_WIDE * NX_PANEL <= N; col += NX_WIDE * NX_PANEL) {
    const float *panel = b + col / NX_PANEL * ldp, *from = a;
    nx_int r = 0;
    for (; r + NX_ROWS <= rows; r += NX_ROWS, from += NX_ROWS * lda) NX_RUN_TILE(NX_ROWS, NX_WIDE);
    for (; r + 2 <= rows; r += 2, from += 2 * lda) NX_RUN_TILE(2, NX_WIDE);
    for (; r < rows; r++, from += lda) NX_RUN_TILE(1, NX_WIDE);
  }
  for (; col < N; col += NX_PANEL) {
    const float *panel = b + col / NX_PANEL * ldp, *from = a;
    nx_int r = 0;
    for (; r + NX_ROWS <= rows; r += NX_ROWS, from += NX_ROWS * lda) NX_RUN_TILE(NX_ROWS, 1);
    for (; r + 2 <= rows; r += 2, from += 2 * lda) NX_RUN_TILE(2, 1);
    for (; r < rows; r++, from += lda) {
      nx_tile_row(K, from, panel, acc);
      NX_STORE_TILE(1, 1, acc, first + r, base + col, base + N, ldy, y NX_EPILOGUE_ARGS);
    }
  }
}

#undef NX_RUN_TILE
