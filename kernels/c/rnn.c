// y (T, N, H): h_t = NX_CELL(x_t + h_{t-1} r) for x (T, N, H), r (H, H) in panels, from h0; backwards with `reverse`.
// From step lengths[n] on, sequence n keeps its state. h0_step and length_step are 0 where one row serves all.
// Threads share the sequences: each takes its own through all steps and meets nobody on the way.
// Include once for each NX_CELL and NX_INDEX; needs NX_NAME. Scratch: (chunk, H) for each thread.

#include "nx_gates.h"

static void NX_NAME(nx_part part, nx_int T, nx_int N, nx_int H, nx_int h0_step, nx_int length_step, nx_int reverse,
                    nx_int chunk, const float *x, const float *r, const float *h0, const NX_INDEX *lengths,
                    float *scratch, float *y) {
  nx_int begin, end;
  nx_share(part, N, NX_ROWS, &begin, &end);
  float *sums = scratch + part.thread * chunk * H;
  for (nx_int n = begin; n < end; n += chunk) {
    const nx_int rows = nx_min_int(chunk, end - n);
    const float *before = h0 + n * h0_step;
    nx_int step = h0_step;
    for (nx_int s = 0; s < T; s++) {
      const nx_int t = reverse ? T - 1 - s : s;
      const float *in = x + (t * N + n) * H;
      float *out = y + (t * N + n) * H;
      NX_PRODUCT(rows, H, H, before, step, r, sums);
      for (nx_int i = 0; i < rows; i++) {
        if (t >= lengths[(n + i) * length_step]) {
          nx_hold(out + i * H, before + i * step, H);
          continue;
        }
        for (nx_int j = 0; j < H; j += NX_LANES) {
          const nx_int at = i * H + j, left = H - j;
          const nx_f32 v = nx_load_n(in + at, left) + nx_load_n(sums + at, left);
          nx_store_n(out + at, NX_CELL(v), left);
        }
      }
      before = out, step = H;
    }
  }
}

#undef NX_PRODUCT
#undef NX_EPILOGUE
#undef NX_EPILOGUE_PARAMS
#undef NX_EPILOGUE_ARGS
