// y (N, OH, OW, C) = the largest element of each window of x (N, H, W, C); channels last; padding never wins.
// NaN wins over every number. Threads share the output pixels. Include once; needs NX_NAME.

#include "nx_simd.h"

static void NX_NAME(nx_part part, nx_int N, nx_int H, nx_int W, nx_int C, nx_int OH, nx_int OW, nx_int KH, nx_int KW,
                    nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h,
                    nx_int dilation_w, const float *x, float *y) {
  nx_int begin, end;
  nx_share(part, N * OH * OW, 1, &begin, &end);
  for (nx_int p = begin; p < end; p++) {
    const nx_int n = p / (OH * OW), top = p / OW % OH * stride_h - pad_h, left = p % OW * stride_w - pad_w;
    for (nx_int c = 0; c < C; c += NX_LANES) {
      const nx_int count = C - c;
      nx_f32 best = nx_set(-__builtin_inff());
      for (nx_int i = 0; i < KH; i++) {
        const nx_int h = top + i * dilation_h;
        if (h < 0 || h >= H) continue;
        for (nx_int j = 0; j < KW; j++) {
          const nx_int w = left + j * dilation_w;
          if (w < 0 || w >= W) continue;
          best = nx_max(nx_load_n(x + ((n * H + h) * W + w) * C + c, count), best);
        }
      }
      nx_store_n(y + p * C + c, best, count);
    }
  }
}
