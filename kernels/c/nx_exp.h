// Exponentials, logarithms and what activations are made of, in single precision: the functions that must be fast.
// Reductions and coefficients follow Cephes (Moshier, 1992), single precision; those of erf are our own fit.
#ifndef NX_EXP_H
#define NX_EXP_H

#include "nx_round.h"

// 2^n for integral n in [-126, 127].
NX_INLINE nx_f32 nx_pow2(nx_i32 n) { return (nx_f32)((n + 127) << 23); }

// The x = n * ln 2 + r of an exponential, c being x within [-104, 89]: returns e^r - 1, and n.
NX_INLINE nx_f32 nx_exp_parts(nx_f32 c, nx_f32 *n) {
  const nx_f32 magic = nx_set(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  *n = (c * 1.44269504088896341f + magic) - magic;
  // Cody and Waite: ln 2 in two parts, the first short enough for n * part to be exact.
  const nx_f32 r = nx_fma(*n, nx_set(2.12194440e-4f), nx_fma(*n, nx_set(-0.693359375f), c));
  nx_f32 p = nx_set(1.9875691500e-4f);
  p = nx_fma(p, r, nx_set(1.3981999507e-3f));
  p = nx_fma(p, r, nx_set(8.3334519073e-3f));
  p = nx_fma(p, r, nx_set(4.1665795894e-2f));
  p = nx_fma(p, r, nx_set(1.6666665459e-1f));
  p = nx_fma(p, r, nx_set(5.0000001201e-1f));
  return nx_fma(p, r * r, r);
}

// x within the range beyond which e^x is 0 or inf anyway.
NX_INLINE nx_f32 nx_exp_clamp(nx_f32 x) {
  const nx_f32 low = nx_set(-104.0f), high = nx_set(89.0f);
  return nx_select(x < low, low, nx_select(x > high, high, x));
}

// e^x. At most 2 ulp; denormal results within 1 ulp of their own spacing; exact 0, inf and NaN.
NX_INLINE nx_f32 nx_exp(nx_f32 x) {
  nx_f32 n;
  const nx_f32 p = nx_exp_parts(nx_exp_clamp(x), &n) + 1.0f;
  // Scaled in two halves, since 2^n alone may be out of range. A NaN has no integer: 0 stands in for it.
  const nx_i32 k = __builtin_convertvector(nx_select(x == x, n, nx_set(0.0f)), nx_i32);
  const nx_i32 half = k >> 1;
  return p * nx_pow2(half) * nx_pow2(k - half);
}

// e^x - 1. At most 2 ulp.
NX_INLINE nx_f32 nx_expm1(nx_f32 x) {
  nx_f32 n;
  const nx_f32 p = nx_exp_parts(nx_exp_clamp(x), &n);
  const nx_i32 k = __builtin_convertvector(nx_select(x == x, n, nx_set(0.0f)), nx_i32);
  const nx_i32 half = k >> 1;
  const nx_f32 low = nx_pow2(half), high = nx_pow2(k - half);
  // From 2^25 on, where 2^n - 1 would round, the 1 is nothing; below -25 it is everything.
  const nx_f32 far = nx_fma(p, low, low) * high - 1.0f, s = low * high;
  const nx_f32 near = nx_fma(p, s, s - 1.0f);
  const nx_f32 y = nx_select((nx_i32)(nx_abs(n) < nx_set(25.0f)), near, far);
  return nx_select(nx_abs(x) < nx_set(1e-8f), x, y);  // -0 too
}

// The natural logarithm. At most 2 ulp, denormals included; -inf at 0, NaN below.
NX_INLINE nx_f32 nx_log(nx_f32 x) {
  const nx_i32 tiny = x < nx_set(1.17549435e-38f);
  const nx_f32 scaled = nx_select(tiny, x * 8388608.0f, x);  // a denormal has no exponent of its own
  const nx_i32 bits = (nx_i32)scaled;
  // m in [sqrt(1/2), sqrt(2)), x = m * 2^e.
  const nx_i32 e = ((bits - 0x3f3504f3) >> 23) - (tiny & 23);
  const nx_f32 m = (nx_f32)(bits - (((bits - 0x3f3504f3) >> 23) << 23));
  const nx_f32 r = m - 1.0f, z = r * r;
  nx_f32 p = nx_set(7.0376836292e-2f);
  p = nx_fma(p, r, nx_set(-1.1514610310e-1f));
  p = nx_fma(p, r, nx_set(1.1676998740e-1f));
  p = nx_fma(p, r, nx_set(-1.2420140846e-1f));
  p = nx_fma(p, r, nx_set(1.4249322787e-1f));
  p = nx_fma(p, r, nx_set(-1.6668057665e-1f));
  p = nx_fma(p, r, nx_set(2.0000714765e-1f));
  p = nx_fma(p, r, nx_set(-2.4999993993e-1f));
  p = nx_fma(p, r, nx_set(3.3333331174e-1f));
  const nx_f32 n = __builtin_convertvector(e, nx_f32);
  nx_f32 y = nx_fma(p, r * z, n * -2.12194440e-4f);
  y = nx_fma(z, nx_set(-0.5f), y);
  y = nx_fma(n, nx_set(0.693359375f), r + y);
  const nx_f32 inf = nx_set(__builtin_inff());
  y = nx_select(x == inf, inf, y);
  y = nx_select(x == nx_set(0.0f), -inf, y);
  return nx_select(x >= nx_set(0.0f), y, nx_set(__builtin_nanf("")));
}

// The logarithm of 1 + x. At most 3 ulp.
NX_INLINE nx_f32 nx_log1p(nx_f32 x) {
  const nx_f32 u = x + 1.0f, one = nx_set(1.0f);
  // What rounding lost of 1 + x, taken from the larger of the two.
  const nx_f32 lost = nx_select(x < one, x - (u - 1.0f), 1.0f - (u - x));
  const nx_f32 y = nx_log(u), whole = nx_select((u > nx_set(0.0f)) & (u < nx_set(1e30f)), y + lost / u, y);
  return nx_select(nx_abs(x) < nx_set(1e-8f), x, whole);
}

// The hyperbolic tangent. At most 2 ulp.
NX_INLINE nx_f32 nx_tanh(nx_f32 x) {
  const nx_f32 a = nx_abs(x), z = x * x;
  nx_f32 p = nx_set(-5.70498872745e-3f);
  p = nx_fma(p, z, nx_set(2.06390887954e-2f));
  p = nx_fma(p, z, nx_set(-5.37397155531e-2f));
  p = nx_fma(p, z, nx_set(1.33314422036e-1f));
  p = nx_fma(p, z, nx_set(-3.33332819422e-1f));
  const nx_f32 small = nx_fma(p * z, a, a);
  const nx_f32 large = 1.0f - 2.0f / (nx_exp(a + a) + 1.0f);
  const nx_f32 magnitude = nx_select(a < nx_set(0.625f), small, large);  // a NaN is in both
  return nx_copysign(magnitude, x);
}

// 1 / (1 + e^-x). At most 3 ulp.
NX_INLINE nx_f32 nx_sigmoid(nx_f32 x) {
  const nx_f32 e = nx_exp(-nx_abs(x));  // never too large
  return nx_select(x < nx_set(0.0f), e, nx_set(1.0f)) / (e + 1.0f);
}

// The error function. At most 2 ulp.
NX_INLINE nx_f32 nx_erf(nx_f32 x) {
  const nx_f32 a = nx_abs(x), z = x * x;
  nx_f32 p = nx_set(8.316772812e-5f);
  p = nx_fma(p, z, nx_set(-8.130012253e-4f));
  p = nx_fma(p, z, nx_set(5.199906654e-3f));
  p = nx_fma(p, z, nx_set(-2.685894152e-2f));
  p = nx_fma(p, z, nx_set(1.128368719e-1f));
  p = nx_fma(p, z, nx_set(-3.761263319e-1f));
  p = nx_fma(p, z, nx_set(1.283791666e-1f));
  const nx_f32 small = nx_fma(p, a, a);
  // Further out, 1 - e^-t with a polynomial t, fitted to -log(1 - erf(x)) on [0.9, 4].
  const nx_f32 c = nx_select(a > nx_set(4.0f), nx_set(4.0f), a);
  nx_f32 q = nx_set(5.150920935e-6f);
  q = nx_fma(q, c, nx_set(-4.820272196e-5f));
  q = nx_fma(q, c, nx_set(-3.606226285e-5f));
  q = nx_fma(q, c, nx_set(2.892293957e-3f));
  q = nx_fma(q, c, nx_set(-2.261199881e-2f));
  q = nx_fma(q, c, nx_set(1.052029018e-1f));
  q = nx_fma(q, c, nx_set(6.356565285e-1f));
  q = nx_fma(q, c, nx_set(1.285448987e-1f));
  const nx_f32 large = 1.0f - nx_exp(-nx_fma(q, c, c));
  return nx_copysign(nx_select(a < nx_set(0.92f), small, large), x);
}

#endif
