// The functions that libm would supply, on vectors. Each states its error; a test measures it.
// Reductions and coefficients follow Cephes (Moshier, 1992), single precision.
#ifndef NX_MATH_H
#define NX_MATH_H

#include "nx_simd.h"

// 2^n for integral n in [-126, 127].
NX_INLINE nx_f32 nx_pow2(nx_i32 n) { return (nx_f32)((n + 127) << 23); }

// e^x. At most 2 ulp; denormal results within 1 ulp of their own spacing; exact 0, inf and NaN.
NX_INLINE nx_f32 nx_exp(nx_f32 x) {
  const nx_f32 low = nx_set(-104.0f), high = nx_set(89.0f);  // beyond these the result is 0 or inf anyway
  const nx_f32 c = nx_select(x < low, low, nx_select(x > high, high, x));
  const nx_f32 magic = nx_set(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const nx_f32 n = (c * 1.44269504088896341f + magic) - magic;
  // Cody and Waite: ln 2 in two parts, the first short enough for n * part to be exact.
  const nx_f32 r = nx_fma(n, nx_set(2.12194440e-4f), nx_fma(n, nx_set(-0.693359375f), c));
  nx_f32 p = nx_set(1.9875691500e-4f);
  p = nx_fma(p, r, nx_set(1.3981999507e-3f));
  p = nx_fma(p, r, nx_set(8.3334519073e-3f));
  p = nx_fma(p, r, nx_set(4.1665795894e-2f));
  p = nx_fma(p, r, nx_set(1.6666665459e-1f));
  p = nx_fma(p, r, nx_set(5.0000001201e-1f));
  p = nx_fma(p, r * r, r) + 1.0f;
  // Scaled in two halves, since 2^n alone may be out of range. A NaN has no integer: 0 stands in for it.
  const nx_i32 k = __builtin_convertvector(nx_select(x == x, n, nx_set(0.0f)), nx_i32);
  const nx_i32 half = k >> 1;
  return p * nx_pow2(half) * nx_pow2(k - half);
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
  return (nx_f32)((nx_u32)magnitude | ((nx_u32)x & 0x80000000u));
}

#endif
