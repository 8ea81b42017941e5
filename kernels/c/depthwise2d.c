// y (N, OH, OW, C) = epilogue(cross-correlation of each channel of x (N, H, W, C) with its own kernel in w (KH, KW, C));
// channels last, vectors along the channels. Include once for each epilogue, as matmul.c.
// With NX_KW and NX_STRIDE (the columns of the kernel and its horizontal stride as constants, the dilation being 1)
// NX_PIXELS neighbouring pixels are made together wherever all their columns lie inside the image: they share the
// kernel's values, and the columns that their windows have in common. Threads share the output's rows.

#include "nx_simd.h"

#define NX_JOIN_(a, b) a##b
#define NX_JOIN(a, b) NX_JOIN_(a, b)

// One pixel at any place: the taps [top, bottom) x [from, to) lie inside the image, corner (h, c) may lie outside.
static void NX_JOIN(NX_NAME, _pixel)(nx_int W, nx_int C, nx_int KW, nx_int dilation_h, nx_int dilation_w, nx_int top,
                                     nx_int bottom, nx_int from, nx_int to, const float *corner, const float *w,
                                     nx_int at, float *y NX_EPILOGUE_PARAMS) {
  for (nx_int c = 0; c < C; c += NX_LANES) {
    const nx_int count = nx_min_int(NX_LANES, C - c);
    nx_f32 acc = {};
    for (nx_int i = top; i < bottom; i++)
      for (nx_int j = from; j < to; j++)
        acc = nx_fma(nx_load_n(corner + (i * dilation_h * W + j * dilation_w) * C + c, count),
                     nx_load_n(w + (i * KW + j) * C + c, count), acc);
    nx_store_n(y + at + c, NX_EPILOGUE(acc, at + c, c, count NX_EPILOGUE_ARGS), count);
  }
}

#if defined(NX_KW)
#define NX_PIXELS 4
#define NX_SPAN ((NX_PIXELS - 1) * NX_STRIDE + NX_KW)  // the columns that a strip of pixels sees

// `count` channels, at most a vector, of NX_PIXELS pixels.
NX_INLINE void NX_JOIN(NX_NAME, _vector)(nx_int W, nx_int C, nx_int dilation_h, nx_int top, nx_int bottom,
                                         const float *corner, const float *w, nx_int c, const nx_int count, nx_int at,
                                         float *y NX_EPILOGUE_PARAMS) {
  nx_f32 acc[NX_PIXELS] = {};
#pragma clang loop unroll(disable)
  for (nx_int i = top; i < bottom; i++) {
    const float *line = corner + i * dilation_h * W * C + c, *taps = w + i * NX_KW * C + c;
    nx_f32 k[NX_KW];
#pragma clang loop unroll(full)
    for (int j = 0; j < NX_KW; j++) k[j] = nx_load_n(taps + j * C, count);
#pragma clang loop unroll(full)
    for (int s = 0; s < NX_SPAN; s++) {
      const nx_f32 seen = nx_load_n(line + s * C, count);
#pragma clang loop unroll(full)
      for (int p = 0; p < NX_PIXELS; p++)
        if (s >= p * NX_STRIDE && s < p * NX_STRIDE + NX_KW) acc[p] = nx_fma(seen, k[s - p * NX_STRIDE], acc[p]);
    }
  }
#pragma clang loop unroll(full)
  for (int p = 0; p < NX_PIXELS; p++)
    nx_store_n(y + at + p * C + c, NX_EPILOGUE(acc[p], at + p * C + c, c, count NX_EPILOGUE_ARGS), count);
}

static void NX_JOIN(NX_NAME, _strip)(nx_int W, nx_int C, nx_int dilation_h, nx_int top, nx_int bottom,
                                     const float *corner, const float *w, nx_int at, float *y NX_EPILOGUE_PARAMS) {
  nx_int c = 0;
  for (; c + NX_LANES <= C; c += NX_LANES)
    NX_JOIN(NX_NAME, _vector)(W, C, dilation_h, top, bottom, corner, w, c, NX_LANES, at, y NX_EPILOGUE_ARGS);
  if (c < C) NX_JOIN(NX_NAME, _vector)(W, C, dilation_h, top, bottom, corner, w, c, C - c, at, y NX_EPILOGUE_ARGS);
}
#endif

static void NX_NAME(nx_part part, nx_int N, nx_int H, nx_int W, nx_int C, nx_int OH, nx_int OW, nx_int KH, nx_int KW,
                    nx_int stride_h, nx_int stride_w, nx_int pad_h, nx_int pad_w, nx_int dilation_h, nx_int dilation_w,
                    const float *x, const float *w, float *y NX_EPILOGUE_PARAMS) {
  nx_int begin, end;
  nx_share(part, N * OH, 1, &begin, &end);
  for (nx_int row = begin; row < end; row++) {
    const nx_int h = row % OH * stride_h - pad_h;
    const nx_int top = h < 0 ? (-h + dilation_h - 1) / dilation_h : 0;
    const nx_int bottom = h < H ? nx_min_int(KH, (H - h + dilation_h - 1) / dilation_h) : 0;
    const float *line = x + (row / OH * H + h) * W * C;
    nx_int ow = 0;
    while (ow < OW) {
      const nx_int left = ow * stride_w - pad_w, at = (row * OW + ow) * C;
#if defined(NX_KW)
      if (left >= 0 && left + NX_SPAN <= W && ow + NX_PIXELS <= OW) {
        NX_JOIN(NX_NAME, _strip)(W, C, dilation_h, top, bottom, line + left * C, w, at, y NX_EPILOGUE_ARGS);
        ow += NX_PIXELS;
        continue;
      }
#endif
      const nx_int from = left < 0 ? (-left + dilation_w - 1) / dilation_w : 0;
      const nx_int to = left < W ? nx_min_int(KW, (W - left + dilation_w - 1) / dilation_w) : 0;
      NX_JOIN(NX_NAME, _pixel)(W, C, KW, dilation_h, dilation_w, top, bottom, from, to, line + left * C, w, at,
                               y NX_EPILOGUE_ARGS);
      ow++;
    }
  }
}

#undef NX_PIXELS
#undef NX_SPAN
