// y (T, N, 2 H) = h_t and c_t side by side, for x (T, N, 4 H), the input's share of the gates i, f, g, o, and
// r (H, 4 H) in panels, from h0 and c0; backwards with `reverse`:
//   i, f, o = sigmoid, g = tanh of x_t + h_{t-1} r;   c_t = f c_{t-1} + i g;   h_t = o tanh(c_t)
// From step lengths[n] on, sequence n keeps its state. A step of 0 means that one row serves all sequences.
// Threads share the sequences: each takes its own through all steps and meets nobody on the way.
// Include once for each NX_INDEX; needs NX_NAME. Scratch: (chunk, 4 H) for each thread.

#include "nx_gates.h"

static void NX_NAME(nx_part part, nx_int T, nx_int N, nx_int H, nx_int h0_step, nx_int c0_step, nx_int length_step,
                    nx_int reverse, nx_int chunk, const float *x, const float *r, const float *h0, const float *c0,
                    const NX_INDEX *lengths, float *scratch, float *y) {
  nx_int begin, end;
  nx_share(part, N, NX_ROWS, &begin, &end);
  float *sums = scratch + part.thread * chunk * 4 * H;
  for (nx_int n = begin; n < end; n += chunk) {
    const nx_int rows = nx_min_int(chunk, end - n);
    const float *h = h0 + n * h0_step, *c = c0 + n * c0_step;
    nx_int h_step = h0_step, c_step = c0_step;
    for (nx_int s = 0; s < T; s++) {
      const nx_int t = reverse ? T - 1 - s : s;
      const float *in = x + (t * N + n) * 4 * H;
      float *out = y + (t * N + n) * 2 * H;
      NX_PRODUCT(rows, 4 * H, H, h, h_step, r, sums);
      for (nx_int i = 0; i < rows; i++) {
        float *to = out + i * 2 * H;
        if (t >= lengths[(n + i) * length_step]) {
          nx_hold(to, h + i * h_step, H);
          nx_hold(to + H, c + i * c_step, H);
          continue;
        }
        for (nx_int j = 0; j < H; j += NX_LANES) {
          const nx_int left = H - j;
          const float *a = in + i * 4 * H + j, *b = sums + i * 4 * H + j;
          const nx_f32 take = nx_gate(nx_load_n(a, left) + nx_load_n(b, left));
          const nx_f32 keep = nx_gate(nx_load_n(a + H, left) + nx_load_n(b + H, left));
          const nx_f32 new = nx_tanh(nx_load_n(a + 2 * H, left) + nx_load_n(b + 2 * H, left));
          const nx_f32 show = nx_gate(nx_load_n(a + 3 * H, left) + nx_load_n(b + 3 * H, left));
          const nx_f32 cell = nx_fma(keep, nx_load_n(c + i * c_step + j, left), take * new);
          nx_store_n(to + j, show * nx_tanh(cell), left);
          nx_store_n(to + H + j, cell, left);
        }
      }
      h = out, c = out + H, h_step = 2 * H, c_step = 2 * H;
    }
  }
}

#undef NX_PRODUCT
#undef NX_EPILOGUE
#undef NX_EPILOGUE_PARAMS
#undef NX_EPILOGUE_ARGS
