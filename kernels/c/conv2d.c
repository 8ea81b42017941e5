// y (N, OH, OW, O) = epilogue(cross-correlation of x (N, H, W, C) with w (KH, KW, C, O)); channels last.
// With `groups`, w is (groups, KH, KW, C / groups, O / groups), and each group makes its own channels from its own.
// w is packed in panels of 8 output channels; a panel holds the rows of all groups, one group after the other.
// Include once for each epilogue, as matmul.c, and once more with NX_GROUPED where there are groups.
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

// `inner` channels of one window of the image (H, W, C), top left corner at (top, left), as KH * KW * inner values.
NX_INLINE void nx_conv2d_gather(nx_int H, nx_int W, nx_int C, const nx_int inner, nx_int KH, nx_int KW,
                                nx_int dilation_h, nx_int dilation_w, const float *image, nx_int top, nx_int left,
                                float *to) {
  for (nx_int i = 0; i < KH; i++) {
    const nx_int h = top + i * dilation_h;
    if (h < 0 || h >= H) {
      nx_clear(to, KW * inner);
    } else if (inner == C && dilation_w == 1 && left >= 0 && left + KW <= W) {
      nx_copy(to, image + (h * W + left) * C, KW * C);  // a whole row of the window lies together
    } else {
      for (nx_int j = 0; j < KW; j++) {
        const nx_int w = left + j * dilation_w;
        if (w < 0 || w >= W)
          nx_clear(to + j * inner, inner);
        else
          nx_copy(to + j * inner, image + (h * W + w) * C, inner);
      }
    }
    to += KW * inner;
  }
}

// The windows of the output pixels [first, first + count) as rows.
static void nx_conv2d_rows(nx_int first, nx_int count, nx_int H, nx_int W, nx_int C, nx_int inner, nx_int OH, nx_int OW,
                           nx_int KH, nx_int KW, nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w,
                           nx_int dilation_h, nx_int dilation_w, const float *x, float *rows) {
  nx_int n = first / (OH * OW), oh = first / OW % OH, ow = first % OW;
  for (nx_int i = 0; i < count; i++) {
    const float *image = x + n * H * W * C;
    const nx_int top = oh * stride_h - pad_h, left = ow * stride_w - pad_w;
    float *to = rows + i * KH * KW * inner;
    if (inner == C)
      nx_conv2d_gather(H, W, C, C, KH, KW, dilation_h, dilation_w, image, top, left, to);
    else
      nx_conv2d_gather(H, W, C, inner, KH, KW, dilation_h, dilation_w, image, top, left, to);
    if (++ow == OW) {
      ow = 0;
      if (++oh == OH) oh = 0, n++;
    }
  }
}

#endif

static void NX_NAME(nx_part part, nx_int N, nx_int H, nx_int W, nx_int C, nx_int OH, nx_int OW, nx_int O, nx_int KH,
                    nx_int KW, nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h,
                    nx_int dilation_w, nx_int chunk, nx_int groups, const float *x, const float *w, float *scratch,
                    float *y NX_EPILOGUE_PARAMS) {
#if !defined(NX_GROUPED)
  groups = 1;
#endif
  chunk = nx_max_int(chunk, 1);  // of no pixels it would be 0
  const nx_int inner = C / groups, made = O / groups, K = KH * KW * inner, pixels = N * OH * OW;
  const nx_int ldp = groups * K * NX_PANEL;
  const int pointwise = KH * KW == 1 && stride_h == 1 && stride_w == 1 && OH == H && OW == W;
  float *rows = scratch + part.thread * chunk * K;
  nx_int begin, end;
  nx_share(part, pixels, chunk, &begin, &end);
  for (nx_int p = begin; p < end; p += chunk) {
    const nx_int count = nx_min_int(chunk, end - p);
    for (nx_int g = 0; g < groups; g++) {
      const float *b = w + g * K * NX_PANEL, *a = x + p * C + g * inner;
      // A pointwise convolution's windows are the image itself.
      if (!pointwise) {
        nx_conv2d_rows(p, count, H, W, C, inner, OH, OW, KH, KW, stride_h, stride_w, pad_h, pad_w, dilation_h,
                       dilation_w, x + g * inner, rows);
        a = rows;
      }
      NX_BLOCK(count, made, K, a, pointwise ? C : K, b, ldp, p, g * made, O, y NX_EPILOGUE_ARGS);
    }
  }
}
