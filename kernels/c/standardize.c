// y (rows, N) = epilogue((x - mean) / sqrt(variance + NX_EPS)) along the last axis, where NX_CENTRED is 1; where it
// is 0 the mean is taken as 0, and the variance is the mean square. Each sum is a pass of its own over a row that is in
// cache: the mean; what its rounding left over; the squares around both, so that nothing cancels. With u = 2^-24 and
// sums exact to s u (nx_row.h), y's error is about (s + 4) u, whatever the ratio of mean to deviation.
// Threads share the rows. Include once for each epilogue, as matmul.c; needs NX_NAME, NX_TYPE. A NaN makes its whole
// row NaN. Other types than float have no epilogue, and are computed in double.

#include "nx_row.h"
#include "nx_types.h"

#if NX_IS_FLOAT(NX_TYPE)

static void NX_NAME(nx_part part, nx_int rows, nx_int N, const float *x, float *y NX_EPILOGUE_PARAMS) {
  nx_int begin, end;
  nx_share(part, N ? rows : 0, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const float *in = x + row * N;
    const float mean = NX_CENTRED ? nx_row_power_sum(in, N, 0, 0, 1) / (float)N : 0;
    const float rest = NX_CENTRED ? nx_row_power_sum(in, N, mean, 0, 1) / (float)N : 0;
    const float square = nx_row_power_sum(in, N, mean, rest, 2) / (float)N;
    const float scale = 1.0f / nx_sqrt(nx_set(square + (float)NX_EPS))[0];
    for (nx_int i = 0; i < N; i += NX_LANES) {
      const nx_int count = nx_min_int(N - i, NX_LANES);
      const nx_f32 v = (nx_load_n(in + i, count) - mean - rest) * scale;
      nx_store_n(y + row * N + i, NX_EPILOGUE(v, row * N + i, i, count NX_EPILOGUE_ARGS), count);
    }
  }
}

#else

static void NX_NAME(nx_part part, nx_int rows, nx_int N, const NX_TYPE *x, NX_TYPE *y) {
  nx_int begin, end;
  nx_share(part, N ? rows : 0, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const NX_TYPE *in = x + row * N;
    NX_TYPE *out = y + row * N;
    double mean = 0, square = 0;
    for (nx_int i = 0; NX_CENTRED && i < N; i++) mean += nx_get(NX_TYPE)(in[i]);
    mean /= (double)N;
    for (nx_int i = 0; i < N; i++) {
      const double v = nx_get(NX_TYPE)(in[i]) - mean;
      square += v * v;
    }
    const double scale = 1.0 / nx_sqrt_d(square / (double)N + NX_EPS);
    for (nx_int i = 0; i < N; i++) out[i] = nx_put(NX_TYPE)((nx_get(NX_TYPE)(in[i]) - mean) * scale);
  }
}

#endif
