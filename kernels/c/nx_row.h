// What a kernel asks of one row of N elements: its largest, its sum, its sum of squares, its softmax.
#ifndef NX_ROW_H
#define NX_ROW_H

#include "nx_math.h"

// The largest element; NaN where there is one.
NX_INLINE float nx_row_max(const float *x, nx_int N) {
  float top = x[0];
  nx_f32 best = nx_set(top);
  nx_int i = 0;
  for (; i + NX_LANES <= N; i += NX_LANES) best = nx_max(nx_load(x + i), best);
  top = nx_max_lanes(best);
  for (; i < N; i++) top = x[i] > top || x[i] != x[i] ? x[i] : top;
  return top;
}

// Elements are summed in runs of this many, and the runs with each other: the error of a sum of N terms is at most
// (NX_RUN / NX_LANES + N / NX_RUN + NX_LANES) half ulp of the sum of their magnitudes.
#define NX_RUN 512

// The sum of (x - shift - rest)^power for power 1 or 2.
NX_INLINE float nx_row_power_sum(const float *x, nx_int N, float shift, float rest, const int power) {
  nx_f32 total = {};
  float tail = 0;
  for (nx_int from = 0; from < N; from += NX_RUN) {
    const nx_int to = nx_min_int(from + NX_RUN, N);
    nx_f32 a = {}, b = {};  // two sums, so that one addition need not wait for the last
    nx_int i = from;
    for (; i + 2 * NX_LANES <= to; i += 2 * NX_LANES) {
      const nx_f32 u = nx_load(x + i) - shift - rest, v = nx_load(x + i + NX_LANES) - shift - rest;
      a = power == 2 ? nx_fma(u, u, a) : a + u;
      b = power == 2 ? nx_fma(v, v, b) : b + v;
    }
    for (; i < to; i++) {
      const float u = x[i] - shift - rest;
      tail += power == 2 ? u * u : u;
    }
    total += a + b;
  }
  return nx_sum_lanes(total) + tail;
}

// out = exp(in - its largest) / their sum, N > 0. `out` may be `in`. Taking the largest off keeps exp from overflowing.
NX_INLINE void nx_row_softmax(const float *in, float *out, nx_int N) {
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

#endif
