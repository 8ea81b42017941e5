// y (rows, N) = x - max - log(sum of exp(x - max)), along the last axis. Threads share the rows.
// Include once; needs NX_NAME, NX_TYPE. A NaN makes its whole row NaN.
// Other types than float are computed in double.

#include "nx_row.h"
#include "nx_types.h"

#if NX_IS_FLOAT(NX_TYPE)

static void NX_NAME(nx_part part, nx_int rows, nx_int N, const float *x, float *y) {
  nx_int begin, end;
  nx_share(part, N ? rows : 0, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const float *in = x + row * N;
    float *out = y + row * N;
    const float top = nx_row_max(in, N);
    nx_f32 sums = {};
    nx_int i = 0;
    for (; i + NX_LANES <= N; i += NX_LANES) sums += nx_exp(nx_load(in + i) - top);
    float sum = nx_sum_lanes(sums);
    if (i < N) {
      const nx_f32 e = nx_exp(nx_load_n(in + i, N - i) - top);
      for (nx_int k = 0; k < N - i; k++) sum += e[k];
    }
    const float rest = nx_log(nx_set(sum))[0];
    for (i = 0; i < N; i += NX_LANES) nx_store_n(out + i, (nx_load_n(in + i, N - i) - top) - rest, N - i);
  }
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
    const double rest = nx_log_d(sum);
    for (nx_int i = 0; i < N; i++) out[i] = nx_put(NX_TYPE)((nx_get(NX_TYPE)(in[i]) - top) - rest);
  }
}

#endif
