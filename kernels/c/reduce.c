// y (outer, inner) = what NX_COMBINE makes of the n elements of x (outer, n, inner) along the middle axis.
// A value starts as NX_INIT, takes NX_EACH(x) of every element by NX_COMBINE(a, b), which must be associative and
// commutative, and ends as NX_FINISH(a, n). NX_IN is x's element type and NX_TYPE y's. Threads share the outputs.
//
// Floats are combined in blocks of NX_CHUNK, and the blocks in pairs, pairs of pairs and so on. A sum of n is off by
// at most (NX_CHUNK + 2 log2(n) + 16) * 2^-24 times the sum of the absolute values: for n = 10^6, 88 instead of 10^6.
// Everything else is combined one after another in what NX_CALC says. Where n is 0 the result is NX_FINISH(NX_INIT, 0).
// Include once for each reduction; needs NX_NAME.

#include "nx_reduce.h"

#define NX_CHUNK 32
#define NX_LEVELS 32

#if NX_IS_FLOAT(NX_IN) && NX_IS_FLOAT(NX_TYPE)
#define NX_REAL float

// total = all of `count` rows, `step` apart, of so many vectors; the last vector of a row has `lanes` lanes.
NX_INLINE void NX_PASTE(NX_NAME, _fold)(const float *x, nx_int count, nx_int step, const nx_int vectors, nx_int lanes,
                                        nx_f32 *total) {
  nx_f32 level[NX_LEVELS][4];  // level[k]: 2^k blocks, where bit k of `blocks` is set
  nx_int blocks = 0;
  for (nx_int v = 0; v < vectors; v++) total[v] = nx_set(NX_INIT);
  for (; count > 0; count -= NX_CHUNK, blocks++) {
    nx_f32 part[4];
    for (nx_int v = 0; v < vectors; v++) part[v] = nx_set(NX_INIT);
    const nx_int rows = nx_min_int(count, NX_CHUNK);
    for (nx_int row = 0; row < rows; row++, x += step)
      for (nx_int v = 0; v < vectors; v++) {
        const nx_f32 in = v + 1 < vectors ? nx_load(x + v * NX_LANES) : nx_load_n(x + v * NX_LANES, lanes);
        part[v] = NX_COMBINE(part[v], NX_EACH(in));
      }
    nx_int at = 0;
    for (nx_int carry = blocks; carry & 1; carry >>= 1, at++)
      for (nx_int v = 0; v < vectors; v++) part[v] = NX_COMBINE(level[at][v], part[v]);
    for (nx_int v = 0; v < vectors; v++) level[at][v] = part[v];
  }
  for (nx_int at = 0; blocks >> at; at++)
    if (blocks >> at & 1)
      for (nx_int v = 0; v < vectors; v++) total[v] = NX_COMBINE(level[at][v], total[v]);
}

// One value from n neighbours: four vectors side by side, then what is left, then the lanes.
NX_INLINE float NX_PASTE(NX_NAME, _row)(const float *x, nx_int n) {
  nx_f32 t[4];
  const nx_int wide = n / (4 * NX_LANES);
  NX_PASTE(NX_NAME, _fold)(x, wide, 4 * NX_LANES, 4, NX_LANES, t);
  nx_int i = wide * 4 * NX_LANES;
  for (; i + NX_LANES <= n; i += NX_LANES) t[1] = NX_COMBINE(t[1], NX_EACH(nx_load(x + i)));
  if (i < n) {
    const nx_f32 more = NX_COMBINE(t[2], NX_EACH(nx_load_n(x + i, n - i)));
    for (nx_int lane = 0; lane < n - i; lane++) t[2][lane] = more[lane];
  }
  nx_f32 a = NX_COMBINE(t[0], t[1]), b = NX_COMBINE(t[2], t[3]);
  a = NX_COMBINE(a, b);
  for (nx_int half = NX_LANES / 2; half > 0; half /= 2) {
    for (nx_int lane = 0; lane < half; lane++) b[lane] = a[lane + half];
    a = NX_COMBINE(a, b);
  }
  return NX_FINISH(a, n)[0];
}

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, const float *x, float *y) {
  const nx_int width = 4 * NX_LANES, strips = (inner + width - 1) / width;
  nx_int begin, end;
  nx_share(part, inner == 1 ? outer : outer * strips, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    if (inner == 1) {
      y[item] = NX_PASTE(NX_NAME, _row)(x + item * n, n);
      continue;
    }
    const nx_int from = item % strips * width, columns = nx_min_int(inner - from, width);
    const float *in = x + item / strips * n * inner + from;
    float *out = y + item / strips * inner + from;
    nx_f32 t[4];
    if (columns == width) {
      NX_PASTE(NX_NAME, _fold)(in, n, inner, 4, NX_LANES, t);
      for (nx_int v = 0; v < 4; v++) nx_store(out + v * NX_LANES, NX_FINISH(t[v], n));
      continue;
    }
    for (nx_int c = 0; c < columns; c += NX_LANES) {
      NX_PASTE(NX_NAME, _fold)(in + c, n, inner, 1, nx_min_int(columns - c, NX_LANES), t);
      nx_store_n(out + c, NX_FINISH(t[0], n), columns - c);
    }
  }
}

#else
#define NX_REAL double

static void NX_NAME(nx_part part, nx_int outer, nx_int n, nx_int inner, const NX_IN *x, NX_TYPE *y) {
  const nx_int strips = (inner + NX_COLUMNS - 1) / NX_COLUMNS;
  nx_int begin, end;
  nx_share(part, outer * strips, 1, &begin, &end);
  for (nx_int item = begin; item < end; item++) {
    const nx_int from = item % strips * NX_COLUMNS, columns = nx_min_int(inner - from, NX_COLUMNS);
    const NX_IN *in = x + item / strips * n * inner + from;
    NX_TYPE *out = y + item / strips * inner + from;
    NX_CALC(NX_TYPE) values[NX_COLUMNS];
    for (nx_int c = 0; c < columns; c++) values[c] = NX_INIT;
    for (nx_int k = 0; k < n; k++, in += inner)
      for (nx_int c = 0; c < columns; c++) values[c] = NX_COMBINE(values[c], NX_EACH(nx_get(NX_IN)(in[c])));
    for (nx_int c = 0; c < columns; c++) out[c] = nx_put(NX_TYPE)(NX_FINISH(values[c], n));
  }
}
#endif

#undef NX_CHUNK
#undef NX_LEVELS
#undef NX_REAL
