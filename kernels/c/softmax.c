// y (rows, N) = exp(x - max) / sum, along the last axis. Threads share the rows. Include once; needs NX_NAME, NX_TYPE.
// Subtracting the row's maximum first keeps exp from overflowing; a NaN makes its whole row NaN.
// Other types than float are computed in double.

#include "nx_row.h"
#include "nx_types.h"

#if NX_IS_FLOAT(NX_TYPE)

static void NX_NAME(nx_part part, nx_int rows, nx_int N, const float *x, float *y) {
  nx_int begin, end;
  nx_share(part, N ? rows : 0, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) nx_row_softmax(x + row * N, y + row * N, N);
}

#else

static void NX_NAME(nx_part part, nx_int rows, nx_int N, const NX_TYPE *x, NX_TYPE *y) {
  nx_int begin, end;
  nx_share(part, N ? rows : 0, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const NX_TYPE *in = x + row * N;
    NX_TYPE *out = y + row * N;
    double top = nx_get(NX_TYPE)(in[0]), sum = 0;
    for (nx_int i = 1; i < N; i++) top = nx_max_d(nx_get(NX_TYPE)(in[i]), top);
    for (nx_int i = 0; i < N; i++) sum += nx_exp_d(nx_get(NX_TYPE)(in[i]) - top);
    for (nx_int i = 0; i < N; i++) out[i] = nx_put(NX_TYPE)(nx_exp_d(nx_get(NX_TYPE)(in[i]) - top) / sum);
  }
}

#endif
