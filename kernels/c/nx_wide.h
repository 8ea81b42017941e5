// Functions that compute in double on the way: rarely used ones, where one short formula is worth more than speed.
// A double holds 29 bits more than the answer needs, so that each is right to the last place but for ties.
#ifndef NX_WIDE_H
#define NX_WIDE_H

#include "nx_round.h"

typedef double nx_f64 __attribute__((vector_size(NX_LANES * 8)));
typedef long long nx_i64 __attribute__((vector_size(NX_LANES * 8)));
typedef unsigned long long nx_u64 __attribute__((vector_size(NX_LANES * 8)));

NX_INLINE nx_f64 nx_widen(nx_f32 x) { return __builtin_convertvector(x, nx_f64); }
NX_INLINE nx_f32 nx_narrow(nx_f64 x) { return __builtin_convertvector(x, nx_f32); }
NX_INLINE nx_f64 nx_wide(double v) {
#if NX_LANES == 8
  return (nx_f64){v, v, v, v, v, v, v, v};
#else
  return (nx_f64){v, v, v, v};
#endif
}
NX_INLINE nx_f64 nx_select_wide(nx_i64 mask, nx_f64 a, nx_f64 b) {
  return (nx_f64)((mask & (nx_i64)a) | (~mask & (nx_i64)b));
}
NX_INLINE nx_f64 nx_abs_wide(nx_f64 x) { return (nx_f64)((nx_u64)x & 0x7fffffffffffffffull); }

#define NX_SHIFT_WIDE 6755399441055744.0  // 1.5 * 2^52: adding it leaves the nearest integer in the low bits

// 2^x - 1 in two parts: `*scale` = 2^n, and e^r - 1 for the rest. x within [-1000, 1000].
NX_INLINE nx_f64 nx_exp2_parts(nx_f64 x, nx_f64 *scale) {
  const nx_f64 shifted = x + NX_SHIFT_WIDE, r = (x - (shifted - NX_SHIFT_WIDE)) * 0.693147180559945309;
  *scale = (nx_f64)(((nx_i64)shifted << 52) + 0x3ff0000000000000ll);
  nx_f64 p = nx_wide(1.0 / 3628800);
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  return p * r * r + r;
}

// 2^x for any x; beyond [-1000, 1000] a float is 0 or inf anyway.
NX_INLINE nx_f64 nx_exp2_wide(nx_f64 x) {
  nx_f64 scale, c = nx_select_wide(x > 1000.0, nx_wide(1000.0), x);
  c = nx_select_wide(c < -1000.0, nx_wide(-1000.0), c);
  const nx_f64 p = nx_exp2_parts(nx_select_wide(x == x, c, nx_wide(0.0)), &scale);
  return nx_select_wide(x == x, p * scale + scale, x);
}

// e^x - 1 for |x| < 600: near 0 as exact as elsewhere.
NX_INLINE nx_f64 nx_expm1_wide(nx_f64 x) {
  nx_f64 scale;
  const nx_f64 p = nx_exp2_parts(x * 1.44269504088896341, &scale);
  return p * scale + (scale - 1.0);
}

// The logarithm to base 2 of a double in the range of floats; -inf at 0, NaN below.
NX_INLINE nx_f64 nx_log2_wide(nx_f64 x) {
  const nx_i64 bits = (nx_i64)x, up = bits - 0x3fe6a09e667f3bcdll;  // sqrt(1/2)
  const nx_i64 e = up >> 52;
  const nx_f64 m = (nx_f64)(bits - (e << 52));
  // An integer of a few bits becomes a double by its place in the mantissa: no instruction is needed.
  const nx_f64 n = (nx_f64)(e + (nx_i64)nx_wide(NX_SHIFT_WIDE)) - NX_SHIFT_WIDE;
  const nx_f64 s = (m - 1.0) / (m + 1.0), z = s * s;
  nx_f64 p = nx_wide(1.0 / 19);
  p = p * z + 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  const nx_f64 y = n + (p * z * s + s) * 2.88539008177792681;
  const nx_f64 inf = nx_wide(__builtin_inf());
  const nx_f64 far = nx_select_wide(x == 0.0, -inf, nx_select_wide(x == inf, inf, nx_wide(__builtin_nan(""))));
  return nx_select_wide((x > 0.0) & (x < inf), y, far);
}

// log(1 + x) of a double: the rounding of 1 + x is made good by the ratio of x to what was added.
NX_INLINE nx_f64 nx_log1p_wide(nx_f64 x) {
  const nx_f64 u = x + 1.0, d = u - 1.0;
  const nx_f64 y = nx_log2_wide(u) * 0.693147180559945309;
  return nx_select_wide((nx_i64)(d == 0.0), x, nx_select_wide(x < 1e18, y * (x / d), y));
}

// 2^x. At most 0.51 ulp.
NX_INLINE nx_f32 nx_exp2(nx_f32 x) { return nx_narrow(nx_exp2_wide(nx_widen(x))); }

// The logarithm to base 2. At most 0.51 ulp; whole for powers of 2.
NX_INLINE nx_f32 nx_log2(nx_f32 x) { return nx_narrow(nx_log2_wide(nx_widen(x))); }

// The logarithm to base 10. At most 0.51 ulp; whole for powers of 10.
NX_INLINE nx_f32 nx_log10(nx_f32 x) { return nx_narrow(nx_log2_wide(nx_widen(x)) * 0.301029995663981195); }

// The hyperbolic sine. At most 0.51 ulp.
NX_INLINE nx_f32 nx_sinh(nx_f32 x) {
  const nx_f32 a = nx_abs(x), c = nx_select(a > nx_set(200.0f), nx_set(200.0f), a);  // a NaN stays one
  const nx_f64 e = nx_expm1_wide(nx_widen(nx_select(c == c, c, nx_set(0.0f))));
  const nx_f32 y = nx_narrow((e + e / (e + 1.0)) * 0.5);
  return nx_select(x == x, nx_copysign(y, x), x);
}

// The hyperbolic cosine. At most 0.51 ulp.
NX_INLINE nx_f32 nx_cosh(nx_f32 x) {
  const nx_f32 a = nx_abs(x), c = nx_select(a > nx_set(200.0f), nx_set(200.0f), a);
  const nx_f64 e = nx_expm1_wide(nx_widen(nx_select(c == c, c, nx_set(0.0f))));
  return nx_select(x == x, nx_narrow(e * e / (e + 1.0) * 0.5 + 1.0), x);
}

// The inverse hyperbolic sine. At most 0.51 ulp.
NX_INLINE nx_f32 nx_asinh(nx_f32 x) {
  const nx_f64 a = nx_widen(nx_abs(x)), z = a * a;
  const nx_f64 root = __builtin_elementwise_sqrt(z + 1.0);
  const nx_f32 y = nx_narrow(nx_log1p_wide(nx_select_wide(a < 1e38 * 4, a + z / (root + 1.0), a)));
  return nx_copysign(y, x);
}

// The inverse hyperbolic cosine; NaN below 1. At most 0.51 ulp.
NX_INLINE nx_f32 nx_acosh(nx_f32 x) {
  const nx_f64 t = nx_widen(x) - 1.0;
  const nx_f32 y = nx_narrow(nx_log1p_wide(t + __builtin_elementwise_sqrt(t * (t + 2.0))));
  return nx_select(x >= nx_set(1.0f), y, nx_set(__builtin_nanf("")));
}

// The inverse hyperbolic tangent; NaN beyond 1. At most 0.51 ulp.
NX_INLINE nx_f32 nx_atanh(nx_f32 x) {
  const nx_f64 a = nx_widen(nx_abs(x));
  const nx_f32 y = nx_narrow(nx_log1p_wide(2.0 * a / (1.0 - a)) * 0.5);
  return nx_select(nx_abs(x) <= nx_set(1.0f), nx_copysign(y, x), nx_set(__builtin_nanf("")));
}

// x to the power y, with the special cases of C99. At most 0.51 ulp, so exact where a float holds the answer.
NX_INLINE nx_f32 nx_pow(nx_f32 x, nx_f32 y) {
  const nx_f32 zero = nx_set(0.0f), one = nx_set(1.0f), inf = nx_set(__builtin_inff()), a = nx_abs(x);
  const nx_f32 r = nx_narrow(nx_exp2_wide(nx_widen(y) * nx_log2_wide(nx_widen(a))));
  // From 2^24 on every float is even; infinity counts as even too.
  const nx_f32 h = y * 0.5f;
  const nx_i32 whole = nx_trunc(y) == y, odd = whole & (nx_trunc(h) != h);
  const nx_i32 negative = (nx_i32)x < 0;
  const nx_f32 magnitude = nx_select((a == one) & (nx_abs(y) == inf), one, r);
  nx_f32 z = nx_select(negative & odd, -magnitude, magnitude);
  z = nx_select((x < zero) & (a != inf) & ~whole & (y == y), nx_set(__builtin_nanf("")), z);
  return nx_select((y == zero) | (x == one), one, z);
}

#endif
