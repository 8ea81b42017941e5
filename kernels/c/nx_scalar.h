// The vocabulary of nx_simd.h and nx_math.h for single values: `_1` for a float, `_d` for a double (nx_double.h), `_i`
// for a 64-bit integer and `_u` for one without a sign.
#ifndef NX_SCALAR_H
#define NX_SCALAR_H

#include "nx_double_trig.h"
#include "nx_math.h"

#define nx_select_1(condition, a, b) ((condition) ? (a) : (b))
#define nx_select_i(condition, a, b) ((condition) ? (a) : (b))
#define nx_select_u(condition, a, b) ((condition) ? (a) : (b))

// One lane of the vector function: the same answer to the last bit.
#define NX_LANE(name) NX_INLINE float nx_##name##_1(float x) { return nx_##name(nx_set(x))[0]; }
#define NX_LANE_2(name) \
  NX_INLINE float nx_##name##_1(float a, float b) { return nx_##name(nx_set(a), nx_set(b))[0]; }
NX_LANE(exp) NX_LANE(exp2) NX_LANE(expm1) NX_LANE(log) NX_LANE(log2) NX_LANE(log10) NX_LANE(log1p)
NX_LANE(sqrt) NX_LANE(abs) NX_LANE(floor) NX_LANE(ceil) NX_LANE(round) NX_LANE(trunc)
NX_LANE(sin) NX_LANE(cos) NX_LANE(tan) NX_LANE(asin) NX_LANE(acos) NX_LANE(atan) NX_LANE_2(atan2)
NX_LANE(sinh) NX_LANE(cosh) NX_LANE(tanh) NX_LANE(asinh) NX_LANE(acosh) NX_LANE(atanh)
NX_LANE(sigmoid) NX_LANE(erf) NX_LANE_2(pow) NX_LANE_2(mod) NX_LANE_2(floordiv)

NX_INLINE float nx_max_1(float a, float b) { return a > b || a != a ? a : b; }
NX_INLINE float nx_min_1(float a, float b) { return a < b || a != a ? a : b; }
NX_INLINE int nx_isnan_1(float x) { return x != x; }
NX_INLINE int nx_isinf_1(float x) { return x == __builtin_inff() || x == -__builtin_inff(); }
NX_INLINE float nx_to_float_1(float x) { return x; }

// Cut off towards zero. A float that no integer equals gives the lowest, as x86's instruction does everywhere.
NX_INLINE long long nx_to_integer_1(float x) {
  return x >= -9223372036854775808.0f && x < 9223372036854775808.0f ? (long long)x : (-0x7fffffffffffffffll - 1);
}

// The same without a sign: a negative float wraps around as a whole number does, what none equals gives 2^63.
NX_INLINE unsigned long long nx_to_unsigned_1(float x) {
  if (x >= 0.0f && x < 18446744073709551616.0f) return (unsigned long long)x;
  return (unsigned long long)nx_to_integer_1(x);
}

// Whole numbers are in 64 bits whatever their dtype, and wrap around; a division by zero gives 0, as in NumPy.
NX_INLINE long long nx_abs_i(long long x) { return x < 0 ? -x : x; }
NX_INLINE long long nx_max_i(long long a, long long b) { return a > b ? a : b; }
NX_INLINE long long nx_min_i(long long a, long long b) { return a < b ? a : b; }
NX_INLINE int nx_isnan_i(long long x) { return (void)x, 0; }
NX_INLINE int nx_isinf_i(long long x) { return (void)x, 0; }

// -1 is taken apart: the lowest number has no negative, and dividing it traps.
NX_INLINE long long nx_fmod_i(long long a, long long b) { return b == 0 || b == -1 ? 0 : a % b; }
NX_INLINE long long nx_mod_i(long long a, long long b) {
  const long long r = nx_fmod_i(a, b);
  return r != 0 && (r ^ b) < 0 ? r + b : r;
}
NX_INLINE long long nx_floordiv_i(long long a, long long b) {
  if (b == 0 || b == -1) return b * a;
  return a / b - (a % b != 0 && (a ^ b) < 0);
}

// By squaring. A negative power of a whole number is a fraction, and only 1 and -1 have a whole one.
NX_INLINE long long nx_pow_i(long long x, long long n) {
  if (n < 0) return x == 1 ? 1 : x == -1 ? (n & 1 ? -1 : 1) : 0;
  long long y = 1;
  for (; n; n >>= 1, x *= x)
    if (n & 1) y *= x;
  return y;
}

// Shifts by a number that does not fit give what shifting one by one would.
NX_INLINE long long nx_shl_i(long long x, long long n) { return n < 0 || n > 63 ? 0 : (long long)((uint64_t)x << n); }
NX_INLINE long long nx_shr_i(long long x, long long n) { return n < 0 || n > 63 ? (x < 0 ? -1 : 0) : x >> n; }

// uint64 fits no signed number.
NX_INLINE unsigned long long nx_abs_u(unsigned long long x) { return x; }
NX_INLINE unsigned long long nx_max_u(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
NX_INLINE unsigned long long nx_min_u(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
NX_INLINE int nx_isnan_u(unsigned long long x) { return (void)x, 0; }
NX_INLINE int nx_isinf_u(unsigned long long x) { return (void)x, 0; }
NX_INLINE unsigned long long nx_fmod_u(unsigned long long a, unsigned long long b) { return b ? a % b : 0; }
NX_INLINE unsigned long long nx_mod_u(unsigned long long a, unsigned long long b) { return b ? a % b : 0; }
NX_INLINE unsigned long long nx_floordiv_u(unsigned long long a, unsigned long long b) { return b ? a / b : 0; }
NX_INLINE unsigned long long nx_pow_u(unsigned long long x, unsigned long long n) {
  unsigned long long y = 1;
  for (; n; n >>= 1, x *= x)
    if (n & 1) y *= x;
  return y;
}
NX_INLINE unsigned long long nx_shl_u(unsigned long long x, unsigned long long n) { return n > 63 ? 0 : x << n; }
NX_INLINE unsigned long long nx_shr_u(unsigned long long x, unsigned long long n) { return n > 63 ? 0 : x >> n; }

#endif
