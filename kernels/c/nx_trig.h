// Trigonometric functions and their inverses, in double on the way; right for every float, however large.
#ifndef NX_TRIG_H
#define NX_TRIG_H

#include "nx_wide.h"

// 2 / pi in words of 32 bits, behind one word of zeros.
static const unsigned nx_two_over_pi[] = {0x00000000u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u,
                                          0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu};

// x = quadrant * pi / 2 + r for one large float, after Payne and Hanek: x is an integer m times 2^e, and of the bits of
// 2 / pi only the 96 from 2^(2 - e) down matter, since those above give whole turns.
NX_INLINE double nx_reduce_large(float x, long long *quadrant) {
  union { float f; unsigned u; } bits = {x};
  const int e = (int)(bits.u >> 23 & 255) - 150, skip = e + 30;
  const unsigned long long m = (bits.u & 0x7fffffu) | 0x800000u;
  const unsigned *w = nx_two_over_pi + skip / 32;
  const int shift = skip % 32;
  const unsigned long long first = (unsigned long long)w[0] << 32 | w[1], last = (unsigned long long)w[2] << 32 | w[3];
  const unsigned long long top = first << shift | (unsigned long long)w[2] << shift >> 32, low = last << shift >> 32;
  const unsigned long long turns = m * top + (m * low >> 32);
  const unsigned long long q = (turns + (1ull << 61)) >> 62;
  const double r = (double)(long long)(turns - (q << 62)) * (1.57079632679489662 / 4611686018427387904.0);
  *quadrant = bits.u >> 31 ? -(long long)q : (long long)q;
  return bits.u >> 31 ? -r : r;
}

// x = quadrant * pi / 2 + r with r in [-pi / 4, pi / 4]. An infinity leaves NaN.
NX_INLINE nx_f64 nx_reduce(nx_f32 x, nx_i64 *quadrant) {
  const nx_f64 w = nx_widen(x), shifted = w * 0.636619772367581343 + NX_SHIFT_WIDE, n = shifted - NX_SHIFT_WIDE;
  *quadrant = (nx_i64)shifted - (nx_i64)nx_wide(NX_SHIFT_WIDE);
  // Cody and Waite: the first part of pi / 2 has 33 bits, so that n times it is exact below 2^17.
  nx_f64 r = (w - n * 0x1.921fb544p+0) - n * 0x1.0b4611a626331p-34;
  const nx_i32 large = nx_abs(x) >= nx_set(131072.0f);
  for (nx_int i = 0; i < NX_LANES; i++) {
    if (!large[i]) continue;
    long long q = 0;
    r[i] = nx_abs(x)[i] < __builtin_inff() ? nx_reduce_large(x[i], &q) : __builtin_nan("");
    (*quadrant)[i] = q;
  }
  return r;
}

NX_INLINE nx_f64 nx_sin_part(nx_f64 r) {
  const nx_f64 z = r * r;
  nx_f64 p = nx_wide(1.0 / 6227020800);
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  p = p * z + 1.0 / 120;
  p = p * z - 1.0 / 6;
  p = p * z + 1.0;
  return p * r;
}

NX_INLINE nx_f64 nx_cos_part(nx_f64 r) {
  const nx_f64 z = r * r;
  nx_f64 p = nx_wide(1.0 / 479001600);
  p = p * z - 1.0 / 3628800;
  p = p * z + 1.0 / 40320;
  p = p * z - 1.0 / 720;
  p = p * z + 1.0 / 24;
  p = p * z - 1.0 / 2;
  p = p * z + 1.0;
  return p;
}

// The sine of quadrant * pi / 2 + r.
NX_INLINE nx_f32 nx_sin_of(nx_f64 r, nx_i64 quadrant) {
  const nx_f64 y = nx_select_wide(-(quadrant & 1), nx_cos_part(r), nx_sin_part(r));
  return nx_narrow(nx_select_wide(-(quadrant >> 1 & 1), -y, y));
}

// The sine. At most 0.51 ulp, for every float.
NX_INLINE nx_f32 nx_sin(nx_f32 x) {
  nx_i64 quadrant;
  const nx_f64 r = nx_reduce(x, &quadrant);
  return nx_select(x == nx_set(0.0f), x, nx_sin_of(r, quadrant));
}

// The cosine. At most 0.51 ulp, for every float.
NX_INLINE nx_f32 nx_cos(nx_f32 x) {
  nx_i64 quadrant;
  const nx_f64 r = nx_reduce(x, &quadrant);
  return nx_sin_of(r, quadrant + 1);
}

// The tangent. At most 0.51 ulp, for every float.
NX_INLINE nx_f32 nx_tan(nx_f32 x) {
  nx_i64 quadrant;
  const nx_f64 r = nx_reduce(x, &quadrant), s = nx_sin_part(r), c = nx_cos_part(r);
  const nx_i64 odd = -(quadrant & 1);
  const nx_f32 y = nx_narrow(nx_select_wide(odd, -c, s) / nx_select_wide(odd, s, c));
  return nx_select(x == nx_set(0.0f), x, y);
}

// asin(x) for x within [0, 1/2], and atan(x) within [-tan(pi/8), tan(pi/8)]: our own fits, good to 1e-12.
NX_INLINE nx_f64 nx_asin_part(nx_f64 x) {
  const nx_f64 z = x * x;
  nx_f64 p = nx_wide(0.033158650221594144);
  p = p * z + 0.001715115504566711;
  p = p * z + 0.02076251798798978;
  p = p * z + 0.021838631428837907;
  p = p * z + 0.030430115483760206;
  p = p * z + 0.04464043830436368;
  p = p * z + 0.07500006048302987;
  p = p * z + 0.16666666608642675;
  p = p * z + 1.0000000000009137;
  return p * x;
}

NX_INLINE nx_f64 nx_atan_part(nx_f64 x) {
  const nx_f64 z = x * x;
  nx_f64 p = nx_wide(-0.03770997339959174);
  p = p * z + 0.06977515038959377;
  p = p * z - 0.08993341192628938;
  p = p * z + 0.11103549844318708;
  p = p * z - 0.14285392182373916;
  p = p * z + 0.19999993216060405;
  p = p * z - 0.33333333278684785;
  p = p * z + 0.9999999999992776;
  return p * x;
}

#define NX_HALF_PI 1.57079632679489662

// The arcsine of the magnitude: beyond 1/2 by that of sqrt((1 - x) / 2). NaN beyond 1.
NX_INLINE nx_f64 nx_asin_wide(nx_f64 a) {
  const nx_i64 far = a > 0.5;
  const nx_f64 root = __builtin_elementwise_sqrt((1.0 - a) * 0.5);
  const nx_f64 p = nx_asin_part(nx_select_wide(far, root, a));
  return nx_select_wide(far, NX_HALF_PI - 2.0 * p, p);
}

// The arcsine; NaN beyond 1. At most 0.51 ulp.
NX_INLINE nx_f32 nx_asin(nx_f32 x) { return nx_copysign(nx_narrow(nx_asin_wide(nx_widen(nx_abs(x)))), x); }

// The arccosine; NaN beyond 1. At most 0.51 ulp.
NX_INLINE nx_f32 nx_acos(nx_f32 x) {
  const nx_f64 w = nx_widen(x), a = nx_abs_wide(w);
  const nx_i64 far = a > 0.5;
  const nx_f64 p = nx_asin_part(nx_select_wide(far, __builtin_elementwise_sqrt((1.0 - a) * 0.5), w));
  const nx_f64 double_angle = nx_select_wide(w < 0.0, 2.0 * NX_HALF_PI - 2.0 * p, 2.0 * p);
  return nx_narrow(nx_select_wide(far, double_angle, NX_HALF_PI - p));
}

// The angle whose tangent is y / x, both not negative and not both infinite.
NX_INLINE nx_f64 nx_angle(nx_f64 y, nx_f64 x) {
  const nx_i64 steep = y > x;
  const nx_f64 low = nx_select_wide(steep, x, y), high = nx_select_wide(steep, y, x);
  const nx_f64 t = nx_select_wide(high == 0.0, low, low / high);
  const nx_i64 turned = t > 0.414213562373095049;
  const nx_f64 p = nx_atan_part(nx_select_wide(turned, (t - 1.0) / (t + 1.0), t));
  const nx_f64 angle = nx_select_wide(turned, p + 0.5 * NX_HALF_PI, p);
  return nx_select_wide(steep, NX_HALF_PI - angle, angle);
}

// The arctangent. At most 0.51 ulp.
NX_INLINE nx_f32 nx_atan(nx_f32 x) {
  return nx_copysign(nx_narrow(nx_angle(nx_widen(nx_abs(x)), nx_wide(1.0))), x);
}

// The angle of the point (x, y), from -pi to pi, signed zeros and infinities as in C99. At most 0.51 ulp.
NX_INLINE nx_f32 nx_atan2(nx_f32 y, nx_f32 x) {
  const nx_f32 inf = nx_set(__builtin_inff()), ay = nx_abs(y), ax = nx_abs(x);
  const nx_i32 both = (ay == inf) & (ax == inf);
  const nx_f32 one = nx_set(1.0f);
  const nx_f64 angle = nx_angle(nx_widen(nx_select(both, one, ay)), nx_widen(nx_select(both, one, ax)));
  const nx_i64 behind = __builtin_convertvector((nx_i32)x < 0, nx_i64);
  const nx_f32 r = nx_copysign(nx_narrow(nx_select_wide(behind, 2.0 * NX_HALF_PI - angle, angle)), y);
  return nx_select((x == x) & (y == y), r, x + y);
}

#endif
