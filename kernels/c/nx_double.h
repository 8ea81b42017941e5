// The functions of nx_math.h for a double. Slower and plainer than those for floats: few models compute in float64.
// Right to 4e-15 of the answer, pow to 1e-12; a test measures it. No fused multiply-add, no fit: series and
// reductions whose error follows from where they are cut off. Angles and erf are in nx_double_trig.h.
#ifndef NX_DOUBLE_H
#define NX_DOUBLE_H

#include "nx_host.h"

#define nx_select_d(condition, a, b) ((condition) ? (a) : (b))

NX_INLINE uint64_t nx_bits_d(double x) {
  union { double d; uint64_t u; } v = {x};
  return v.u;
}
NX_INLINE double nx_of_bits_d(uint64_t u) {
  union { uint64_t u; double d; } v = {u};
  return v.d;
}

NX_INLINE double nx_abs_d(double x) { return __builtin_fabs(x); }
NX_INLINE double nx_copysign_d(double x, double y) { return __builtin_copysign(x, y); }
NX_INLINE double nx_sqrt_d(double x) { return __builtin_elementwise_sqrt(x); }
NX_INLINE double nx_max_d(double a, double b) { return a > b || a != a ? a : b; }
NX_INLINE double nx_min_d(double a, double b) { return a < b || a != a ? a : b; }
NX_INLINE int nx_isnan_d(double x) { return x != x; }
NX_INLINE int nx_isinf_d(double x) { return nx_abs_d(x) == __builtin_inf(); }
NX_INLINE double nx_to_float_d(double x) { return x; }

// As nx_to_integer_1 and nx_to_unsigned_1.
NX_INLINE long long nx_to_integer_d(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (long long)x : (-0x7fffffffffffffffll - 1);
}
NX_INLINE unsigned long long nx_to_unsigned_d(double x) {
  if (x >= 0.0 && x < 18446744073709551616.0) return (unsigned long long)x;
  return (unsigned long long)nx_to_integer_d(x);
}

// ── rounding and remainders: exact ──

// From 2^52 on every double is whole, and adding 2^52 below it rounds half to even.
NX_INLINE double nx_round_d(double x) {
  const double a = nx_abs_d(x), whole = 4503599627370496.0;
  return nx_copysign_d(a < whole ? (a + whole) - whole : a, x);
}
NX_INLINE double nx_floor_d(double x) {
  const double r = nx_round_d(x);
  return nx_copysign_d(r > x ? r - 1.0 : r, x);
}
NX_INLINE double nx_ceil_d(double x) { return -nx_floor_d(-x); }
NX_INLINE double nx_trunc_d(double x) { return nx_copysign_d(nx_floor_d(nx_abs_d(x)), x); }

// By long division, 11 bits of the quotient at a time.
static double nx_fmod_d(double a, double b) {
  const uint64_t sign = nx_bits_d(a) & 0x8000000000000000u, x = nx_bits_d(nx_abs_d(a)), y = nx_bits_d(nx_abs_d(b));
  if (x >= 0x7ff0000000000000u || y > 0x7ff0000000000000u || y == 0) return __builtin_nan("");
  if (x < y) return a;
  const uint64_t fraction = 0xfffffffffffffu, one = fraction + 1;
  const int ex = (int)(x >> 52), ey = (int)(y >> 52);
  uint64_t m = ex ? (x & fraction) | one : x;
  const uint64_t n = ey ? (y & fraction) | one : y;
  int shift = (ex ? ex : 1) - (ey ? ey : 1), e = ey ? ey : 1;
  for (m %= n; shift > 0 && m; shift -= 11) m = (m << (shift < 11 ? shift : 11)) % n;
  for (; m && m < one && e > 1; e--) m <<= 1;
  return nx_of_bits_d(sign | (m >= one ? (m & fraction) | (uint64_t)e << 52 : m));
}
NX_INLINE double nx_mod_d(double a, double b) {
  const double r = nx_fmod_d(a, b);
  if (r == 0) return nx_copysign_d(0.0, b);
  return (r < 0) != (b < 0) ? r + b : r;
}
NX_INLINE double nx_floordiv_d(double a, double b) {
  const double r = nx_fmod_d(a, b), plain = a / b;
  if (b == 0) return plain;
  const double whole = (a - r) / b, q = r != 0 && (r < 0) != (b < 0) ? whole - 1.0 : whole;
  if (q == 0) return nx_copysign_d(0.0, plain);
  const double low = nx_floor_d(q);
  return q - low > 0.5 ? low + 1.0 : low;
}

// ── exponentials and logarithms ──

// 2^n for n in [-1022, 1023].
NX_INLINE double nx_pow2_d(int n) { return nx_of_bits_d((uint64_t)(n + 1023) << 52); }

// e^r - 1 for |r| <= ln 2 / 2: the series up to r^14.
NX_INLINE double nx_expm1_part_d(double r) {
  double p = 1.0 / 87178291200.0;
  p = p * r + 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  return p * r * r + r;
}

// x = n ln 2 + r, x within [-746, 710]; the first part of ln 2 is short enough for n times it to be exact.
NX_INLINE double nx_exp_rest_d(double x, int *n) {
  const double k = nx_round_d(x * 1.4426950408889634);
  *n = (int)k;
  return (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
}

// (p + 1) * 2^n, in two halves, since 2^n alone may be out of range.
NX_INLINE double nx_scaled_d(double p, int n) {
  const int half = n >> 1;
  return (p + 1.0) * nx_pow2_d(half) * nx_pow2_d(n - half);
}

static double nx_exp_d(double x) {
  if (!(x > -746.0)) return x != x ? x : 0.0;
  if (x > 710.0) return __builtin_inf();
  int n;
  const double r = nx_exp_rest_d(x, &n);
  return nx_scaled_d(nx_expm1_part_d(r), n);
}

static double nx_exp2_d(double x) {
  if (!(x > -1076.0)) return x != x ? x : 0.0;
  if (x > 1025.0) return __builtin_inf();
  const double k = nx_round_d(x);
  return nx_scaled_d(nx_expm1_part_d((x - k) * 0.6931471805599453), (int)k);
}

static double nx_expm1_d(double x) {
  if (x != x || x > 700.0) return nx_exp_d(x);
  if (x < -60.0) return -1.0;
  int n;
  const double p = nx_expm1_part_d(nx_exp_rest_d(x, &n));
  return n == 0 ? nx_copysign_d(p, x) : p * nx_pow2_d(n) + (nx_pow2_d(n) - 1.0);
}

// x = m 2^e with m in [sqrt(1/2), sqrt(2)), x positive and finite.
NX_INLINE double nx_mantissa_d(double x, int *e) {
  int more = 0;
  if (x < 2.2250738585072014e-308) x *= 18014398509481984.0, more = 54;  // a denormal has no exponent of its own
  const uint64_t bits = nx_bits_d(x), up = bits - 0x3fe6a09e667f3bcdu;
  *e = (int)((int64_t)up >> 52) - more;
  return nx_of_bits_d(bits - (up & 0xfff0000000000000u));
}

// The logarithm of m in [sqrt(1/2), sqrt(2)): the series of the area tangent, up to s^23.
NX_INLINE double nx_log_part_d(double m) {
  const double r = m - 1.0, s = r / (2.0 + r), z = s * s;
  double p = 1.0 / 23.0;
  p = p * z + 1.0 / 21.0;
  p = p * z + 1.0 / 19.0;
  p = p * z + 1.0 / 17.0;
  p = p * z + 1.0 / 15.0;
  p = p * z + 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  return 2.0 * s * z * p + 2.0 * s;
}

// What a logarithm is where there is no mantissa: at 0, below, at infinity and at NaN.
NX_INLINE double nx_log_end_d(double x) { return x == 0 ? -__builtin_inf() : x > 0 ? x : __builtin_nan(""); }

static double nx_log_d(double x) {
  if (!(x > 0) || x == __builtin_inf()) return nx_log_end_d(x);
  int e;
  const double y = nx_log_part_d(nx_mantissa_d(x, &e));
  return e * 0x1.62e42feep-1 + (e * 0x1.a39ef35793c76p-33 + y);
}

static double nx_log2_d(double x) {
  if (!(x > 0) || x == __builtin_inf()) return nx_log_end_d(x);
  int e;
  const double y = nx_log_part_d(nx_mantissa_d(x, &e));
  return e + y * 1.4426950408889634;
}

NX_INLINE double nx_log10_d(double x) {
  const double y = nx_log_d(x) * 0.4342944819032518, whole = nx_round_d(y);
  return nx_abs_d(y - whole) < 1e-15 * nx_abs_d(y) ? whole : y;  // a power of 10 has a whole one
}

// The rounding of 1 + x is made good by its part of the answer.
static double nx_log1p_d(double x) {
  const double u = 1.0 + x;
  if (nx_abs_d(x) < 1e-17) return x;
  if (!(u > 0) || u > 1e300) return nx_log_d(u);
  const double lost = x < 1.0 ? x - (u - 1.0) : 1.0 - (u - x);
  return nx_log_d(u) + lost / u;
}

NX_INLINE double nx_sigmoid_d(double x) {
  const double e = nx_exp_d(-nx_abs_d(x));  // never too large
  return (x < 0 ? e : 1.0) / (e + 1.0);
}

// By squaring for small whole powers, so that these are as exact as products are.
static double nx_pow_d(double x, double y) {
  if (y == 0 || x == 1) return 1.0;
  if (x != x || y != y) return x + y;
  const double a = nx_abs_d(x), whole = nx_trunc_d(y);
  if (whole == y && nx_abs_d(y) <= 64.0) {
    double result = 1.0, square = x;
    for (int n = (int)nx_abs_d(y); n; n >>= 1, square *= square)
      if (n & 1) result *= square;
    return y < 0 ? 1.0 / result : result;
  }
  if (a == 1 && nx_isinf_d(y)) return 1.0;
  if (x < 0 && whole != y && !nx_isinf_d(x)) return __builtin_nan("");
  const double magnitude = nx_exp_d(y * nx_log_d(a)), half = y * 0.5;
  const int odd = whole == y && nx_trunc_d(half) != half;
  return odd ? nx_copysign_d(magnitude, x) : magnitude;
}

// ── hyperbolic functions ──

static double nx_sinh_d(double x) {
  const double a = nx_abs_d(x);
  if (!(a < 700.0)) {
    const double e = nx_exp_d(a * 0.5);
    return nx_copysign_d(e * 0.5 * e, x);
  }
  const double e = nx_expm1_d(a);
  return nx_copysign_d((e + e / (e + 1.0)) * 0.5, x);
}
static double nx_cosh_d(double x) {
  const double a = nx_abs_d(x), e = nx_exp_d(a < 700.0 ? a : a * 0.5);
  return a < 700.0 ? (e + 1.0 / e) * 0.5 : e * 0.5 * e;
}
static double nx_tanh_d(double x) {
  const double a = nx_abs_d(x), e = nx_expm1_d(a > 22.0 ? 44.0 : a + a);  // a NaN stays one
  return nx_copysign_d(e / (e + 2.0), x);
}
static double nx_asinh_d(double x) {
  const double a = nx_abs_d(x), z = a * a;
  const double y = a > 1e150 ? nx_log_d(a) + 0.6931471805599453 : nx_log1p_d(a + z / (nx_sqrt_d(z + 1.0) + 1.0));
  return nx_copysign_d(y, x);
}
static double nx_acosh_d(double x) {
  const double t = x - 1.0;
  if (!(x >= 1.0)) return __builtin_nan("");
  return x > 1e150 ? nx_log_d(x) + 0.6931471805599453 : nx_log1p_d(t + nx_sqrt_d(t * (t + 2.0)));
}
static double nx_atanh_d(double x) {
  const double a = nx_abs_d(x);
  return a <= 1.0 ? nx_copysign_d(0.5 * nx_log1p_d(2.0 * a / (1.0 - a)), x) : __builtin_nan("");
}

#endif
