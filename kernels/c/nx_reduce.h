// What a reduction does to two values, by one name for vectors of float, and for single floats, doubles and 64-bit
// integers.
#ifndef NX_REDUCE_H
#define NX_REDUCE_H

#include "nx_types.h"

// Columns that a scalar loop carries along together, so that memory is read in rows.
#define NX_COLUMNS 16

NX_INLINE nx_f32 nx_add_v(nx_f32 a, nx_f32 b) { return a + b; }
NX_INLINE nx_f32 nx_mul_v(nx_f32 a, nx_f32 b) { return a * b; }
NX_INLINE float nx_add_1(float a, float b) { return a + b; }
NX_INLINE float nx_mul_1(float a, float b) { return a * b; }
NX_INLINE double nx_add_d(double a, double b) { return a + b; }
NX_INLINE double nx_mul_d(double a, double b) { return a * b; }
// Integers wrap around, as NumPy's do; signed overflow would be undefined.
NX_INLINE long long nx_add_i(long long a, long long b) { return (long long)((uint64_t)a + (uint64_t)b); }
NX_INLINE long long nx_mul_i(long long a, long long b) { return (long long)((uint64_t)a * (uint64_t)b); }
NX_INLINE unsigned long long nx_add_u(unsigned long long a, unsigned long long b) { return a + b; }
NX_INLINE unsigned long long nx_mul_u(unsigned long long a, unsigned long long b) { return a * b; }

#define NX_OF(a, name, vector)                                                                       \
  _Generic((a), long long: name##_i, unsigned long long: name##_u, float: name##_1, double: name##_d, \
           default: vector)
#define nx_add(a, b) NX_OF(a, nx_add, nx_add_v)(a, b)
#define nx_mul(a, b) NX_OF(a, nx_mul, nx_mul_v)(a, b)
#define nx_larger(a, b) NX_OF(a, nx_max, nx_max)(a, b)
#define nx_smaller(a, b) NX_OF(a, nx_min, nx_min)(a, b)
#define nx_magnitude(a) NX_OF(a, nx_abs, nx_abs)(a)
#define nx_is_nan(a) NX_OF(a, nx_isnan, nx_isnan)(a)
#define nx_root(a) _Generic((a), float: nx_sqrt_1, double: nx_sqrt_d, default: nx_sqrt)(a)

#endif
