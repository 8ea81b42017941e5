// One vector vocabulary for every instruction set: the width is a build flag, the code is the same.
#ifndef NX_SIMD_H
#define NX_SIMD_H

#include "nx_host.h"

// A matrix operand that is constant is packed in panels of this many columns, on every target.
#define NX_PANEL 8

#if defined(__AVX2__)
#define NX_LANES 8
#else
#define NX_LANES 4  // SSE, NEON, wasm SIMD; without any of them the compiler takes the vectors apart
#endif
#define NX_VECTORS (NX_PANEL / NX_LANES)

typedef float nx_f32 __attribute__((vector_size(NX_LANES * 4)));
typedef int nx_i32 __attribute__((vector_size(NX_LANES * 4)));
typedef unsigned nx_u32 __attribute__((vector_size(NX_LANES * 4)));
typedef float nx_f32_unaligned __attribute__((vector_size(NX_LANES * 4), aligned(4)));

// Not `(nx_f32){} + value`: that is an addition, which 0 + -0 forbids the compiler to drop.
NX_INLINE nx_f32 nx_set(float v) {
#if NX_LANES == 8
  return (nx_f32){v, v, v, v, v, v, v, v};
#else
  return (nx_f32){v, v, v, v};
#endif
}
NX_INLINE nx_f32 nx_load(const float *p) { return *(const nx_f32_unaligned *)p; }
NX_INLINE void nx_store(float *p, nx_f32 v) { *(nx_f32_unaligned *)p = v; }

// The first `count` lanes; the others are 0 and nothing is read for them.
NX_INLINE nx_f32 nx_load_n(const float *p, nx_int count) {
  if (count >= NX_LANES) return nx_load(p);
  nx_f32 v = {};
  for (nx_int i = 0; i < NX_LANES; i++)
    if (i < count) v[i] = p[i];
  return v;
}

NX_INLINE void nx_store_n(float *p, nx_f32 v, nx_int count) {
  if (count >= NX_LANES) {
    nx_store(p, v);
    return;
  }
  for (nx_int i = 0; i < NX_LANES; i++)
    if (i < count) p[i] = v[i];
}

// a * b + c: fused where the instruction set has it, rounded twice where it has not.
NX_INLINE nx_f32 nx_fma(nx_f32 a, nx_f32 b, nx_f32 c) {
#if defined(__wasm_relaxed_simd__)
  return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#elif defined(__FMA__) || defined(__aarch64__)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Lanes of a where the mask is set, of b elsewhere. Compilers see a blend in it.
NX_INLINE nx_f32 nx_select(nx_i32 mask, nx_f32 a, nx_f32 b) {
  return (nx_f32)((mask & (nx_i32)a) | (~mask & (nx_i32)b));
}

NX_INLINE nx_f32 nx_abs(nx_f32 x) { return (nx_f32)((nx_u32)x & 0x7fffffffu); }
NX_INLINE nx_f32 nx_sqrt(nx_f32 x) { return __builtin_elementwise_sqrt(x); }

// NaN when either is NaN, as NumPy and IEEE 754-2019 maximum have it.
NX_INLINE nx_f32 nx_max(nx_f32 a, nx_f32 b) { return nx_select((a > b) | (a != a), a, b); }
NX_INLINE nx_f32 nx_min(nx_f32 a, nx_f32 b) { return nx_select((a < b) | (a != a), a, b); }

NX_INLINE float nx_sum_lanes(nx_f32 v) {
  float total = 0;
  for (nx_int i = 0; i < NX_LANES; i++) total += v[i];
  return total;
}

NX_INLINE float nx_max_lanes(nx_f32 v) {
  float best = v[0];
  for (nx_int i = 1; i < NX_LANES; i++) best = v[i] > best || v[i] != v[i] ? v[i] : best;
  return best;
}

#endif
