// y (M, N) = epilogue(a (M, K) times b (K, N)); a and y row-major, b packed in panels of 8 columns.
// Include once for each epilogue, with NX_NAME, NX_EPILOGUE, NX_EPILOGUE_PARAMS and NX_EPILOGUE_ARGS defined.
// Threads share the rows.

#include "nx_tile.h"

#include "nx_block.h"

static void NX_NAME(nx_part part, nx_int M, nx_int N, nx_int K, const float *a, const float *b,
                    float *y NX_EPILOGUE_PARAMS) {
  nx_int begin, end;
  nx_share(part, M, NX_ROWS, &begin, &end);
  // 48 rows of A at a time: with K up to 1024 they stay in the second-level cache for all panels.
  for (nx_int m = begin; m < end; m += 48)
    NX_BLOCK(nx_min_int(48, end - m), N, K, a + m * K, K, b, K * NX_PANEL, m, 0, N, y NX_EPILOGUE_ARGS);
}
