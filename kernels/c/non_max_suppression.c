// y (batch * classes * most, 3) = batch, class and box of what is kept, and -1 behind it. Of each class the box with the
// highest score is kept, the first of equal ones; then, in the order of their scores, all that share no more than
// `overlap` of the area they cover together with one that was kept. At most `limit` and `most` of a class are, and those
// whose score is not above `least` never, unless that is NaN. boxes (batch, n, 4) are two opposite corners, or with
// NX_CENTRED centre and sizes; scores (batch, classes, n). NX_IN is the type of boxes, scores and
// both bounds, NX_INDEX limit's, NX_TYPE y's. `scratch` holds n
// 32-bit values. One thread does it: where a class begins depends on those before. Include once; needs NX_NAME.

#include "nx_reduce.h"

typedef struct {
  NX_CALC(NX_IN) low[2], high[2];
} NX_PASTE(NX_NAME, _box);

NX_INLINE NX_PASTE(NX_NAME, _box) NX_PASTE(NX_NAME, _corners)(const NX_IN *box) {
  NX_PASTE(NX_NAME, _box) made;
  for (int k = 0; k < 2; k++) {
    const NX_CALC(NX_IN) one = nx_get(NX_IN)(box[k]), other = nx_get(NX_IN)(box[2 + k]);
    const NX_CALC(NX_IN) a = NX_CENTRED ? one - other / 2 : one, b = NX_CENTRED ? one + other / 2 : other;
    made.low[k] = NX_CENTRED || a < b ? a : b;
    made.high[k] = NX_CENTRED || a < b ? b : a;
  }
  return made;
}

static int NX_PASTE(NX_NAME, _overlaps)(const NX_IN *one, const NX_IN *other, NX_CALC(NX_IN) most) {
  const NX_PASTE(NX_NAME, _box) a = NX_PASTE(NX_NAME, _corners)(one), b = NX_PASTE(NX_NAME, _corners)(other);
  NX_CALC(NX_IN) shared = 1, first = 1, second = 1;
  for (int k = 0; k < 2; k++) {
    const NX_CALC(NX_IN) low = a.low[k] > b.low[k] ? a.low[k] : b.low[k];
    const NX_CALC(NX_IN) high = a.high[k] < b.high[k] ? a.high[k] : b.high[k];
    if (high <= low) return 0;
    shared *= high - low;
    first *= a.high[k] - a.low[k];
    second *= b.high[k] - b.low[k];
  }
  const NX_CALC(NX_IN) covered = first + second - shared;
  if (shared <= 0 || first <= 0 || second <= 0 || covered <= 0) return 0;
  return shared / covered > most;
}

// Whether a box comes before another one.
NX_INLINE int NX_PASTE(NX_NAME, _better)(const NX_IN *scores, nx_int one, nx_int other) {
  const NX_CALC(NX_IN) a = nx_get(NX_IN)(scores[one]), b = nx_get(NX_IN)(scores[other]);
  return a > b || (a == b && one < other);
}

// Let the entry at a place of a heap, whose best is on top, sink to where it belongs.
static void NX_PASTE(NX_NAME, _sink)(const NX_IN *scores, int32_t *heap, nx_int size, nx_int at) {
  const int32_t moved = heap[at];
  for (nx_int child; (child = 2 * at + 1) < size; at = child) {
    if (child + 1 < size && NX_PASTE(NX_NAME, _better)(scores, heap[child + 1], heap[child])) child++;
    if (!NX_PASTE(NX_NAME, _better)(scores, heap[child], moved)) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

static void NX_NAME(nx_part part, nx_int batch, nx_int classes, nx_int n, nx_int most, const NX_IN *boxes,
                    const NX_IN *scores, const NX_INDEX *limit, const NX_IN *overlap, const NX_IN *least,
                    float *scratch, NX_TYPE *y) {
  if (part.thread != 0) return;
  const NX_CALC(NX_IN) low = nx_get(NX_IN)(*least), shared = nx_get(NX_IN)(*overlap);
  int32_t *heap = (int32_t *)scratch;
  nx_int count = 0;
  for (nx_int item = 0; item < batch * classes; item++) {
    const NX_IN *score = scores + item * n, *box = boxes + item / classes * n * 4;
    const nx_int first = count;
    nx_int size = 0;
    for (nx_int i = 0; i < n; i++)
      if (nx_get(NX_IN)(score[i]) > low || low != low) heap[size++] = (int32_t)i;
    for (nx_int at = size / 2; at-- > 0;) NX_PASTE(NX_NAME, _sink)(score, heap, size, at);
    while (size > 0 && count - first < most && count - first < *limit) {
      const int32_t best = heap[0];
      heap[0] = heap[--size];
      if (size) NX_PASTE(NX_NAME, _sink)(score, heap, size, 0);
      int kept = 1;
      for (nx_int k = first; kept && k < count; k++)
        kept = !NX_PASTE(NX_NAME, _overlaps)(box + 4 * best, box + 4 * y[3 * k + 2], shared);
      if (!kept) continue;
      y[3 * count] = (NX_TYPE)(item / classes);
      y[3 * count + 1] = (NX_TYPE)(item % classes);
      y[3 * count + 2] = (NX_TYPE)best;
      count++;
    }
  }
  for (nx_int i = 3 * count; i < 3 * batch * classes * most; i++) y[i] = -1;
}
