// Trigonometric functions, their inverses and the error function for a double; right to 4e-15 of the answer, however
// large the angle.
#ifndef NX_DOUBLE_TRIG_H
#define NX_DOUBLE_TRIG_H

#include "nx_double.h"

#define NX_HALF_PI_D 1.5707963267948966

// ── angles ──

// 2 / pi in words of 32 bits, behind two words of zeros.
static const uint32_t nx_two_over_pi_d[] = {
    0x00000000u, 0x00000000u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u,
    0xfe5163abu, 0xdebbc561u, 0xb7246e3au, 0x424dd2e0u, 0x06492eeau, 0x09d1921cu, 0xfe1deb1cu, 0xb129a73eu,
    0xe88235f5u, 0x2ebb4484u, 0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u, 0x9c845f8bu, 0xbdf9283bu,
    0x1ff897ffu, 0xde05980fu, 0xef2f118bu, 0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du,
    0x7527bac7u, 0xebe5f17bu, 0x3d0739f7u, 0x8a5292eau, 0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u, 0xfc7b6babu,
    0xf0cfbc20u};

// x = quadrant * pi / 2 + r for one large double, after Payne and Hanek: x is an integer m times 2^e, and of the bits of
// 2 / pi those above 2^(2 - e) give whole turns, those far below nothing: 192 between them are multiplied.
static double nx_reduce_large_d(double x, long long *quadrant) {
  const uint64_t bits = nx_bits_d(x), m = (bits & 0xfffffffffffffu) | 0x10000000000000u;
  const int skip = (int)(bits >> 52 & 2047) - 1075 - 2 + 64;
  const uint32_t *w = nx_two_over_pi_d + skip / 32;
  const int shift = skip % 32;
  uint32_t product[8] = {0, 0, 0, 0, 0, 0, 0, 0};  // the lowest word first; what goes beyond six words is whole turns
  for (int i = 0; i < 6; i++) {
    const uint32_t word = (uint32_t)(((uint64_t)w[5 - i] << 32 | w[6 - i]) << shift >> 32);
    uint64_t carry = 0;
    for (int k = 0; k < 2; k++) {
      const uint64_t sum = (uint64_t)word * (uint32_t)(m >> 32 * k) + product[i + k] + carry;
      product[i + k] = (uint32_t)sum;
      carry = sum >> 32;
    }
    product[i + 2 < 8 ? i + 2 : 7] = (uint32_t)carry;
  }
  const uint64_t turns = (uint64_t)product[5] << 32 | product[4], below = (uint64_t)product[3] << 32 | product[2];
  const uint64_t q = (turns + (1ull << 61)) >> 62;
  const double r = ((double)(long long)(turns - (q << 62)) + (double)below * 0x1p-64) * (NX_HALF_PI_D * 0x1p-62);
  *quadrant = bits >> 63 ? -(long long)q : (long long)q;
  return bits >> 63 ? -r : r;
}

// x = quadrant * pi / 2 + r with r in [-pi / 4, pi / 4]; an infinity leaves NaN. Cody and Waite below 2^20, with two parts
// of pi / 2 of 33 bits.
NX_INLINE double nx_reduce_d(double x, long long *quadrant) {
  *quadrant = 0;
  if (!(nx_abs_d(x) < __builtin_inf())) return __builtin_nan("");
  if (nx_abs_d(x) >= 1048576.0) return nx_reduce_large_d(x, quadrant);
  const double n = nx_round_d(x * 0.6366197723675814);
  *quadrant = (long long)n;
  return ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
}

// The series up to r^17 and r^16.
NX_INLINE double nx_sin_part_d(double r) {
  const double z = r * r;
  double p = 1.0 / 355687428096000.0;
  p = p * z - 1.0 / 1307674368000.0;
  p = p * z + 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800.0;
  p = p * z + 1.0 / 362880.0;
  p = p * z - 1.0 / 5040.0;
  p = p * z + 1.0 / 120.0;
  p = p * z - 1.0 / 6.0;
  return p * z * r + r;
}
NX_INLINE double nx_cos_part_d(double r) {
  const double z = r * r;
  double p = 1.0 / 20922789888000.0;
  p = p * z - 1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600.0;
  p = p * z - 1.0 / 3628800.0;
  p = p * z + 1.0 / 40320.0;
  p = p * z - 1.0 / 720.0;
  p = p * z + 1.0 / 24.0;
  return p * z * z - 0.5 * z + 1.0;
}
NX_INLINE double nx_sine_of_d(double r, long long quadrant) {
  const double y = quadrant & 1 ? nx_cos_part_d(r) : nx_sin_part_d(r);
  return quadrant & 2 ? -y : y;
}

static double nx_sin_d(double x) {
  long long quadrant;
  const double r = nx_reduce_d(x, &quadrant);
  return x == 0 ? x : nx_sine_of_d(r, quadrant);
}
static double nx_cos_d(double x) {
  long long quadrant;
  const double r = nx_reduce_d(x, &quadrant);
  return nx_sine_of_d(r, quadrant + 1);
}
static double nx_tan_d(double x) {
  long long quadrant;
  const double r = nx_reduce_d(x, &quadrant), s = nx_sin_part_d(r), c = nx_cos_part_d(r);
  return x == 0 ? x : quadrant & 1 ? -c / s : s / c;
}

// The angle whose tangent is t, |t| <= tan(pi / 8): halved once, then the series up to t^25.
NX_INLINE double nx_atan_part_d(double x) {
  const double t = x / (1.0 + nx_sqrt_d(1.0 + x * x)), z = t * t;
  double p = 1.0 / 25.0;
  p = p * -z + 1.0 / 23.0;
  p = p * -z + 1.0 / 21.0;
  p = p * -z + 1.0 / 19.0;
  p = p * -z + 1.0 / 17.0;
  p = p * -z + 1.0 / 15.0;
  p = p * -z + 1.0 / 13.0;
  p = p * -z + 1.0 / 11.0;
  p = p * -z + 1.0 / 9.0;
  p = p * -z + 1.0 / 7.0;
  p = p * -z + 1.0 / 5.0;
  p = p * -z + 1.0 / 3.0;
  return 2.0 * (t - t * z * p);
}

// The angle whose tangent is y / x, both not negative and not both infinite.
static double nx_angle_d(double y, double x) {
  const int steep = y > x;
  const double low = steep ? x : y, high = steep ? y : x, t = high == 0 ? low : low / high;
  const int turned = t > 0.41421356237309503;
  const double p = nx_atan_part_d(turned ? (t - 1.0) / (t + 1.0) : t), angle = turned ? p + NX_HALF_PI_D / 2 : p;
  return steep ? NX_HALF_PI_D - angle : angle;
}

NX_INLINE double nx_atan_d(double x) { return nx_copysign_d(nx_angle_d(nx_abs_d(x), 1.0), x); }
NX_INLINE double nx_asin_d(double x) {
  const double a = nx_abs_d(x);
  return nx_copysign_d(nx_angle_d(a, nx_sqrt_d((1.0 - a) * (1.0 + a))), x);  // the root of a negative is NaN
}
NX_INLINE double nx_acos_d(double x) {
  const double a = nx_abs_d(x), angle = nx_angle_d(nx_sqrt_d((1.0 - a) * (1.0 + a)), a);
  return x < 0 ? 2 * NX_HALF_PI_D - angle : angle;
}
static double nx_atan2_d(double y, double x) {
  if (x != x || y != y) return x + y;
  const int both = nx_isinf_d(x) && nx_isinf_d(y);
  const double angle = nx_angle_d(both ? 1.0 : nx_abs_d(y), both ? 1.0 : nx_abs_d(x));
  return nx_copysign_d(nx_bits_d(x) >> 63 ? 2 * NX_HALF_PI_D - angle : angle, y);
}

// ── the error function ──

// Below 2.5 a series of positive terms, beyond it a continued fraction of what is left to 1.
static double nx_erf_d(double x) {
  const double a = nx_abs_d(x), z = a * a;
  if (a != a) return x;
  if (a < 2.5) {
    double term = a, sum = a;
    for (int n = 1; n < 80 && term > sum * 1e-17; n++) {
      term *= 2.0 * z / (2 * n + 1);
      sum += term;
    }
    return nx_copysign_d(1.1283791670955126 * nx_exp_d(-z) * sum, x);
  }
  double f = a;
  for (int n = 60; n > 0; n--) f = a + 0.5 * n / f;
  return nx_copysign_d(a > 6.0 ? 1.0 : 1.0 - nx_exp_d(-z) * 0.5641895835477563 / f, x);
}

#endif
