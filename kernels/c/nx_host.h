// What a freestanding kernel needs from its surroundings: integers, exports, threads. No libc.
#ifndef NX_HOST_H
#define NX_HOST_H

#include "nx_half.h"

// As wide as a pointer: 32 bits in wasm32, where 64-bit address arithmetic would cost, 64 natively.
typedef __INTPTR_TYPE__ nx_int;

#if defined(__wasm__)
#define NX_EXPORT __attribute__((visibility("default"), used))
#elif defined(_WIN32)
#define NX_EXPORT __declspec(dllexport)
#else
#define NX_EXPORT __attribute__((visibility("default")))
#endif
#if defined(_WIN32)
// Compilers ask the C library for it wherever a number is a float; a custom op's unit has one too.
extern int _fltused;
__declspec(selectany) int _fltused = 0;
#endif
#define NX_INLINE static inline __attribute__((always_inline))

// Which of `threads` equal workers runs this call. Every worker makes the same calls in the same order.
typedef struct {
  nx_int thread, threads;
} nx_part;

// The worker's share [begin, end) of `total` items, cut at multiples of `grain`. It depends on the number
// of threads only in who computes an item, never in how: answers do not depend on threads.
NX_INLINE void nx_share(nx_part part, nx_int total, nx_int grain, nx_int *begin, nx_int *end) {
  const nx_int pieces = (total + grain - 1) / grain;
  const nx_int from = pieces * part.thread / part.threads * grain;
  const nx_int to = pieces * (part.thread + 1) / part.threads * grain;
  *begin = from;
  *end = to < total ? to : total;
}

// All workers meet here between steps. With one worker there is nobody to wait for.
NX_INLINE void nx_barrier(nx_part part) { (void)part; }

NX_INLINE nx_int nx_max_int(nx_int a, nx_int b) { return a > b ? a : b; }
NX_INLINE nx_int nx_min_int(nx_int a, nx_int b) { return a < b ? a : b; }
NX_INLINE nx_int nx_floordiv_int(nx_int a, nx_int b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

#endif
