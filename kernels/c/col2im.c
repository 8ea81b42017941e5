// y (N, C, H, W) = at each pixel the sum of all values of x (C * KH * KW, N * OH * OW) that a window took from it: the
// transpose of im2col, and the second half of a transposed convolution. Threads share the images' channels.
// Include once for each type; needs NX_NAME, NX_TYPE.

#include "nx_types.h"

static void NX_NAME(nx_part part, nx_int N, nx_int C, nx_int H, nx_int W, nx_int OH, nx_int OW, nx_int KH, nx_int KW,
                    nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h, nx_int dilation_w,
                    const NX_TYPE *x, NX_TYPE *y) {
  nx_int begin, end;
  nx_share(part, N * C, 1, &begin, &end);
  for (nx_int plane = begin; plane < end; plane++) {
    const nx_int n = plane / C, c = plane % C;
    NX_TYPE *image = y + plane * H * W;
    for (nx_int i = 0; i < H * W; i++) image[i] = nx_put(NX_TYPE)(0);
    for (nx_int i = 0; i < KH; i++)
      for (nx_int j = 0; j < KW; j++) {
        const NX_TYPE *from = x + (((c * KH + i) * KW + j) * N + n) * OH * OW;
        const nx_int left = j * dilation_w - pad_w;
        // The windows whose column lies inside the image: 0 <= ow * stride_w + left < W.
        const nx_int first = left < 0 ? (-left + stride_w - 1) / stride_w : 0;
        const nx_int last = left < W ? nx_min_int(OW, (W - left + stride_w - 1) / stride_w) : 0;
        for (nx_int oh = 0; oh < OH; oh++) {
          const nx_int h = oh * stride_h + i * dilation_h - pad_h;
          if (h < 0 || h >= H) continue;
          NX_TYPE *to = image + h * W + left;
          for (nx_int ow = first; ow < last; ow++) {
            const NX_CALC(NX_TYPE) sum = nx_get(NX_TYPE)(to[ow * stride_w]) + nx_get(NX_TYPE)(from[oh * OW + ow]);
            to[ow * stride_w] = nx_put(NX_TYPE)(sum);
          }
        }
      }
  }
}
