// Rounding and remainders, on vectors: exact, with the sign of zero and NaN as IEEE 754 has them.
#ifndef NX_ROUND_H
#define NX_ROUND_H

#include "nx_simd.h"

#define NX_SIGN 0x80000000u

// The magnitude of a with the sign bit of b.
NX_INLINE nx_f32 nx_copysign(nx_f32 a, nx_f32 b) {
  return (nx_f32)(((nx_u32)a & ~NX_SIGN) | ((nx_u32)b & NX_SIGN));
}

NX_INLINE nx_i32 nx_isnan(nx_f32 x) { return x != x; }
NX_INLINE nx_i32 nx_isinf(nx_f32 x) { return nx_abs(x) == nx_set(__builtin_inff()); }
NX_INLINE nx_f32 nx_to_float(nx_f32 x) { return x; }

#if defined(__SSE4_1__) || defined(__wasm__) || defined(__aarch64__)
NX_INLINE nx_f32 nx_round(nx_f32 x) { return __builtin_elementwise_roundeven(x); }
NX_INLINE nx_f32 nx_floor(nx_f32 x) { return __builtin_elementwise_floor(x); }
NX_INLINE nx_f32 nx_ceil(nx_f32 x) { return __builtin_elementwise_ceil(x); }
NX_INLINE nx_f32 nx_trunc(nx_f32 x) { return __builtin_elementwise_trunc(x); }
#else
// Without an instruction: from 2^23 on every float is whole, and adding 2^23 below it rounds half to even.
NX_INLINE nx_f32 nx_round(nx_f32 x) {
  const nx_f32 a = nx_abs(x), whole = nx_set(8388608.0f);
  return nx_copysign(nx_select(a < whole, (a + whole) - whole, a), x);
}
NX_INLINE nx_f32 nx_floor(nx_f32 x) {
  const nx_f32 r = nx_round(x);
  return nx_copysign(nx_select(r > x, r - 1.0f, r), x);
}
NX_INLINE nx_f32 nx_ceil(nx_f32 x) { return -nx_floor(-x); }
NX_INLINE nx_f32 nx_trunc(nx_f32 x) {
  const nx_f32 a = nx_abs(x), r = nx_round(a);
  return nx_copysign(nx_select(r > a, r - 1.0f, r), x);
}
#endif

// The remainder of |a| / |b| by long division, 40 bits of the quotient at a time. Exact, as fmod is.
NX_INLINE float nx_fmod_1(float a, float b) {
  union { float f; unsigned u; } left = {a}, right = {b};
  const unsigned sign = left.u & NX_SIGN, x = left.u & ~NX_SIGN, y = right.u & ~NX_SIGN;
  if (x >= 0x7f800000u || y > 0x7f800000u || y == 0) return __builtin_nanf("");
  if (x < y) return a;
  const int ex = (int)(x >> 23), ey = (int)(y >> 23);
  // Both as an integer times a power of two; a denormal has the exponent of the smallest normal number.
  unsigned long long m = ex ? (x & 0x7fffffu) | 0x800000u : x;
  const unsigned long long n = ey ? (y & 0x7fffffu) | 0x800000u : y;
  int shift = (ex ? ex : 1) - (ey ? ey : 1), e = ey ? ey : 1;
  for (m %= n; shift > 0 && m; shift -= 40) m = (m << (shift < 40 ? shift : 40)) % n;
  // m < 2^24 in units of b's last place: shifted up until it is normal, or denormal at the end of the range.
  for (; m && m < 0x800000u && e > 1; e--) m <<= 1;
  left.u = sign | (m >= 0x800000u ? ((unsigned)m & 0x7fffffu) | (unsigned)e << 23 : (unsigned)m);
  return left.f;
}

// a modulo b with the sign of a, as C's fmod. Exact.
NX_INLINE nx_f32 nx_fmod(nx_f32 a, nx_f32 b) {
  nx_f32 r = {};
  for (nx_int i = 0; i < NX_LANES; i++) r[i] = nx_fmod_1(a[i], b[i]);
  return r;
}

// a modulo b with the sign of b, as Python's %. Exact but for one rounding where the signs differ.
NX_INLINE nx_f32 nx_mod(nx_f32 a, nx_f32 b) {
  const nx_f32 r = nx_fmod(a, b), zero = nx_set(0.0f);
  const nx_i32 other = (nx_i32)((nx_u32)r ^ (nx_u32)b) < 0;
  return nx_select(r == zero, nx_copysign(zero, b), nx_select(other, r + b, r));
}

// floor(a / b) as Python's //: the whole quotient that goes with nx_mod. Exact as far as a float is.
NX_INLINE nx_f32 nx_floordiv(nx_f32 a, nx_f32 b) {
  const nx_f32 r = nx_fmod(a, b), zero = nx_set(0.0f), plain = a / b;
  const nx_i32 other = (r != zero) & ((nx_i32)((nx_u32)r ^ (nx_u32)b) < 0);
  const nx_f32 whole = (a - r) / b, q = nx_select(other, whole - 1.0f, whole);
  const nx_f32 low = nx_floor(q), near = nx_select(q - low > nx_set(0.5f), low + 1.0f, low);
  return nx_select(b == zero, plain, nx_select(q == zero, nx_copysign(zero, plain), near));
}

#endif
