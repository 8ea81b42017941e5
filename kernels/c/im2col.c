// y (C * KH * KW, N * OH * OW): row (c, i, j) holds what the kernel's position (i, j) sees of channel c in each window of
// x (N, C, H, W); 0 where it sees the padding. Threads share the rows.
// Include once for each type; needs NX_NAME, NX_TYPE.

#include "nx_types.h"

static void NX_NAME(nx_part part, nx_int N, nx_int C, nx_int H, nx_int W, nx_int OH, nx_int OW, nx_int KH, nx_int KW,
                    nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h, nx_int dilation_w,
                    const NX_TYPE *x, NX_TYPE *y) {
  const NX_TYPE zero = nx_put(NX_TYPE)(0);
  nx_int begin, end;
  nx_share(part, C * KH * KW, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const nx_int c = row / (KH * KW), top = row / KW % KH * dilation_h - pad_h, left = row % KW * dilation_w - pad_w;
    NX_TYPE *to = y + row * N * OH * OW;
    for (nx_int n = 0; n < N; n++)
      for (nx_int oh = 0; oh < OH; oh++, to += OW) {
        const nx_int h = oh * stride_h + top;
        const NX_TYPE *from = x + ((n * C + c) * H + h) * W;
        for (nx_int ow = 0; ow < OW; ow++) {
          const nx_int w = ow * stride_w + left;
          to[ow] = h >= 0 && h < H && w >= 0 && w < W ? from[w] : zero;
        }
      }
  }
}
