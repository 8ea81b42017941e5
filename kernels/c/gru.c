// y (T, N, H) = h_t, for x (T, N, 3 H), the input's share of the gates reset, update and new, r (H, 3 H) in panels
// and b (H), from h0; backwards with `reverse`:
//   reset, update = sigmoid of x_t + h_{t-1} r;   h_t = new + update (h_{t-1} - new)
//   new = tanh(x_t + reset (h_{t-1} r + b)) where NX_LINEAR is 1, else tanh(x_t + (reset h_{t-1}) r + b)
// From step lengths[n] on, sequence n keeps its state. A step of 0 means that one row serves all sequences.
// Threads share the sequences: each takes its own through all steps and meets nobody on the way.
// Include once for each NX_LINEAR and NX_INDEX; needs NX_NAME. Scratch: (chunk, 4 H + 8) for each thread.

#include "nx_gates.h"

static void NX_NAME(nx_part part, nx_int T, nx_int N, nx_int H, nx_int h0_step, nx_int length_step, nx_int reverse,
                    nx_int chunk, const float *x, const float *r, const float *b, const float *h0,
                    const NX_INDEX *lengths, float *scratch, float *y) {
  nx_int begin, end;
  nx_share(part, N, NX_ROWS, &begin, &end);
  float *sums = scratch + part.thread * chunk * (4 * H + NX_PANEL);
#if NX_LINEAR
  const nx_int width = 3 * H, late = 3 * H;
  const float *fresh = sums + 2 * H;
#else
  // The product for `new` waits for the reset gate. It starts at the panel that holds its first column.
  const nx_int width = 2 * H, first = width / NX_PANEL * NX_PANEL, late = 3 * H - first;
  float *reset = sums + chunk * width, *rest = reset + chunk * H;
  const float *fresh = rest + width - first;
#endif
  for (nx_int n = begin; n < end; n += chunk) {
    const nx_int rows = nx_min_int(chunk, end - n);
    const float *before = h0 + n * h0_step;
    nx_int step = h0_step;
    for (nx_int s = 0; s < T; s++) {
      const nx_int t = reverse ? T - 1 - s : s;
      const float *in = x + (t * N + n) * 3 * H;
      float *out = y + (t * N + n) * H;
      NX_PRODUCT(rows, width, H, before, step, r, sums);
#if !NX_LINEAR
      for (nx_int i = 0; i < rows; i++)
        for (nx_int j = 0; j < H; j += NX_LANES) {
          const nx_int left = H - j;
          const nx_f32 v = nx_gate(nx_load_n(in + i * 3 * H + j, left) + nx_load_n(sums + i * width + j, left));
          nx_store_n(reset + i * H + j, v * nx_load_n(before + i * step + j, left), left);
        }
      NX_PRODUCT(rows, late, H, reset, H, r + first * H, rest);
#endif
      for (nx_int i = 0; i < rows; i++) {
        if (t >= lengths[(n + i) * length_step]) {
          nx_hold(out + i * H, before + i * step, H);
          continue;
        }
        for (nx_int j = 0; j < H; j += NX_LANES) {
          const nx_int left = H - j;
          const float *a = in + i * 3 * H + j, *sum = sums + i * width + j;
          const nx_f32 update = nx_gate(nx_load_n(a + H, left) + nx_load_n(sum + H, left));
          nx_f32 share = nx_load_n(fresh + i * late + j, left) + nx_load_n(b + j, left);
#if NX_LINEAR
          share *= nx_gate(nx_load_n(a, left) + nx_load_n(sum, left));
#endif
          const nx_f32 new = nx_tanh(nx_load_n(a + 2 * H, left) + share);
          const nx_f32 h = nx_load_n(before + i * step + j, left);
          nx_store_n(out + i * H + j, nx_fma(update, h - new, new), left);
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
