// y (rows, N) = exp(x - max) / sum, along the last axis. Threads share the rows. Include once; needs NX_NAME, NX_TYPE.
// Subtracting the row's maximum first keeps exp from overflowing; a NaN makes its whole row NaN.
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
    const nx_int whole = N / NX_LANES * NX_LANES;
    const float top = nx_row_max(in, N);

    nx_f32 sums = {};
    for (nx_int i = 0; i < whole; i += NX_LANES) {
      const nx_f32 e = nx_exp(nx_load(in + i) - top);
      nx_store(out + i, e);
      sums += e;
    }
    float sum = nx_sum_lanes(sums);
    if (whole < N) {
      const nx_f32 e = nx_exp(nx_load_n(in + whole, N - whole) - top);
      nx_store_n(out + whole, e, N - whole);
      for (nx_int i = 0; i < N - whole; i++) sum += e[i];
    }

    const float scale = 1.0f / sum;
    for (nx_int i = 0; i < whole; i += NX_LANES) nx_store(out + i, nx_load(out + i) * scale);
    for (nx_int i = whole; i < N; i++) out[i] *= scale;
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
    for (nx_int i = 0; i < N; i++) out[i] = nx_put(NX_TYPE)(nx_exp_d(nx_get(NX_TYPE)(in[i]) - top) / sum);
  }
}

#endif
