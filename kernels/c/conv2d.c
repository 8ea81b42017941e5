// y (N, OH, OW, O) = epilogue(cross-correlation of x (N, H, W, C) with w (KH, KW, C, O)); channels last.
// w is packed in panels of 8 output channels. Include once for each epilogue, as matmul.c.
// The windows of `chunk` output pixels are gathered as rows of a (chunk, KH * KW * C) matrix in scratch, one
// chunk to a thread, and multiplied while they are in cache. Padding becomes zeros there, once.

#include "nx_tile.h"

#include "nx_block.h"

#ifndef NX_CONV2D_GATHER
#define NX_CONV2D_GATHER

NX_INLINE void nx_copy(float *to, const float *from, nx_int count) {
  nx_int i = 0;
  for (; i + NX_LANES <= count; i += NX_LANES) nx_store(to + i, nx_load(from + i));
  for (; i < count; i++) to[i] = from[i];
}

NX_INLINE void nx_clear(float *to, nx_int count) {
  nx_int i = 0;
  for (; i + NX_LANES <= count; i += NX_LANES) nx_store(to + i, (nx_f32){});
  for (; i < count; i++) to[i] = 0;
}

// One window of the image (H, W, C), top left corner at (top, left), as KH * KW * C values.
static void nx_conv2d_gather(nx_int H, nx_int W, nx_int C, nx_int KH, nx_int KW, nx_int dilation_h, nx_int dilation_w,
                             const float *image, nx_int top, nx_int left, float *to) {
  for (nx_int i = 0; i < KH; i++) {
    const nx_int h = top + i * dilation_h;
    if (h < 0 || h >= H) {
      nx_clear(to, KW * C);
    } else if (dilation_w == 1 && left >= 0 && left + KW <= W) {
      nx_copy(to, image + (h * W + left) * C, KW * C);  // a whole row of the window lies together
    } else {
      for (nx_int j = 0; j < KW; j++) {
        const nx_int w = left + j * dilation_w;
        if (w < 0 || w >= W)
          nx_clear(to + j * C, C);
        else
          nx_copy(to + j * C, image + (h * W + w) * C, C);
      }
    }
    to += KW * C;
  }
}

#endif

static void NX_NAME(nx_part part, nx_int N, nx_int H, nx_int W, nx_int C, nx_int OH, nx_int OW, nx_int O, nx_int KH,
                    nx_int KW, nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h,
                    nx_int dilation_w, nx_int chunk, const float *x, const float *w, float *scratch,
                    float *y NX_EPILOGUE_PARAMS) {
  const nx_int K = KH * KW * C, pixels = N * OH * OW;
  nx_int begin, end;
  nx_share(part, pixels, chunk, &begin, &end);
  if (KH * KW == 1 && stride_h == 1 && stride_w == 1 && pad_h == 0 && pad_w == 0) {
    // A pointwise convolution's windows are the image itself.
    for (nx_int p = begin; p < end; p += chunk)
      NX_BLOCK(nx_min_int(chunk, end - p), O, K, x + p * K, K, w, p, y NX_EPILOGUE_ARGS);
    return;
  }
  float *rows = scratch + part.thread * chunk * K;
  for (nx_int p = begin; p < end; p += chunk) {
    const nx_int count = nx_min_int(chunk, end - p);
    nx_int n = p / (OH * OW), oh = p / OW % OH, ow = p % OW;
    for (nx_int i = 0; i < count; i++) {
      nx_conv2d_gather(H, W, C, KH, KW, dilation_h, dilation_w, x + n * H * W * C, oh * stride_h - pad_h,
                       ow * stride_w - pad_w, rows + i * K);
      if (++ow == OW) {
        ow = 0;
        if (++oh == OH) oh = 0, n++;
      }
    }
    NX_BLOCK(count, O, K, rows, K, w, p, y NX_EPILOGUE_ARGS);
  }
}
