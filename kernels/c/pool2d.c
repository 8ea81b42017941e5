// y (N, OH, OW, C) = each window of x (N, H, W, C) made one value for each channel; channels last.
//
// Include once for each kind of pool, with NX_NAME; NX_POOL_FIRST, the value that a window starts from;
// NX_POOL_JOIN(a, b), which takes one more element b into a; and NX_POOL_FINISH(a, taken, whole), the result, where
// `taken` elements of the window lie in the image and `whole` in the image with its padding. Padding itself is never
// read. With NX_POOL_ADAPTIVE the windows cut the image evenly into OH by OW, else they have a size and a stride.
// A window's rows are joined one by one and then with each other, so that a sum's error grows with KH + KW and not
// with KH * KW. Threads share the output pixels and blocks of channels.

#include "nx_simd.h"

#ifndef NX_POOL2D_SPANS
#define NX_POOL2D_SPANS

#define NX_POOL_VECTORS 4  // so many of a pixel's vectors at once: whole cache lines of a large window

// The elements begin, begin + step, … < end of an axis that a window takes, and its length with padding.
typedef struct {
  nx_int begin, end, step, whole;
} nx_span;

NX_INLINE nx_span nx_strided_span(nx_int at, nx_int size, nx_int kernel, nx_int stride, nx_int pad, nx_int dilation) {
  const nx_int first = at * stride - pad, end = first + (kernel - 1) * dilation + 1;
  const nx_int begin = first < 0 ? first + (dilation - 1 - first) / dilation * dilation : first;
  return (nx_span){begin, nx_min_int(end, size), dilation, nx_min_int(end, size + pad) - first};
}

NX_INLINE nx_span nx_even_span(nx_int at, nx_int size, nx_int count) {
  const nx_int begin = at * size / count, end = ((at + 1) * size + count - 1) / count;
  return (nx_span){begin, end, 1, end - begin};
}

#endif

#ifdef NX_POOL_ADAPTIVE
#define NX_POOL_PARAMS
#define NX_POOL_ROWS(at) nx_even_span(at, H, OH)
#define NX_POOL_COLS(at) nx_even_span(at, W, OW)
#else
#define NX_POOL_PARAMS                                                                                            \
  , nx_int KH, nx_int KW, nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h, nx_int \
                                                                                               dilation_w
#define NX_POOL_ROWS(at) nx_strided_span(at, H, KH, stride_h, pad_h, dilation_h)
#define NX_POOL_COLS(at) nx_strided_span(at, W, KW, stride_w, pad_w, dilation_w)
#endif

#define NX_POOL_PASTE_(a, b) a##b
#define NX_POOL_PASTE(a, b) NX_POOL_PASTE_(a, b)
#define NX_POOL_WINDOW NX_POOL_PASTE(NX_NAME, _window)

// One window over `vectors` vectors of channels; of the last one only `count` lanes, where there is just one.
NX_INLINE void NX_POOL_WINDOW(const nx_int vectors, nx_int count, const float *image, nx_int W, nx_int C, nx_span rows,
                              nx_span cols, float *y) {
  nx_f32 total[NX_POOL_VECTORS], row[NX_POOL_VECTORS];
  for (nx_int v = 0; v < vectors; v++) total[v] = nx_set(NX_POOL_FIRST);
  for (nx_int h = rows.begin; h < rows.end; h += rows.step) {
    for (nx_int v = 0; v < vectors; v++) row[v] = nx_set(NX_POOL_FIRST);
    for (nx_int w = cols.begin; w < cols.end; w += cols.step) {
      const float *pixel = image + (h * W + w) * C;
      for (nx_int v = 0; v < vectors; v++) row[v] = NX_POOL_JOIN(row[v], nx_load_n(pixel + v * NX_LANES, count));
    }
    for (nx_int v = 0; v < vectors; v++) total[v] = NX_POOL_JOIN(total[v], row[v]);
  }
  const nx_int taken = (rows.end - rows.begin) * (cols.end - cols.begin), whole = rows.whole * cols.whole;
  (void)taken, (void)whole;
  for (nx_int v = 0; v < vectors; v++)
    nx_store_n(y + v * NX_LANES, NX_POOL_FINISH(total[v], taken, whole), count);
}

static void NX_NAME(nx_part part, nx_int N, nx_int H, nx_int W, nx_int C, nx_int OH, nx_int OW NX_POOL_PARAMS,
                    const float *x, float *y) {
  const nx_int block = NX_POOL_VECTORS * NX_LANES, blocks = (C + block - 1) / block;
  nx_int begin, end;
  nx_share(part, N * OH * OW * blocks, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int p = item / blocks, c = item % blocks * block;
    const nx_span rows = NX_POOL_ROWS(p / OW % OH), cols = NX_POOL_COLS(p % OW);
    const float *image = x + p / (OH * OW) * H * W * C;
    float *out = y + p * C;
    if (c + block <= C)
      NX_POOL_WINDOW(NX_POOL_VECTORS, NX_LANES, image + c, W, C, rows, cols, out + c);
    else
      for (nx_int i = c; i < C; i += NX_LANES) NX_POOL_WINDOW(1, C - i, image + i, W, C, rows, cols, out + i);
  }
}

#undef NX_POOL_PARAMS
#undef NX_POOL_ROWS
#undef NX_POOL_COLS
#undef NX_POOL_WINDOW
#undef NX_POOL_PASTE
#undef NX_POOL_PASTE_
