// What a reduction does to two values, by one name for vectors of float, for double, and for 64-bit integers.
#ifndef NX_REDUCE_H
#define NX_REDUCE_H

#include "nx_scalar.h"

// Columns that a scalar loop carries along together, so that memory is read in rows.
#define NX_COLUMNS 16

// 1 where the type is float, which the preprocessor cannot compare by itself.
#define NX_PASTE(a, b) NX_PASTE_(a, b)
#define NX_PASTE_(a, b) a##b
#define NX_KIND_float 1
#define NX_IS_FLOAT(type) NX_PASTE(NX_KIND_, type)

NX_INLINE nx_f32 nx_add_v(nx_f32 a, nx_f32 b) { return a + b; }
NX_INLINE nx_f32 nx_mul_v(nx_f32 a, nx_f32 b) { return a * b; }
NX_INLINE double nx_add_d(double a, double b) { return a + b; }
NX_INLINE double nx_mul_d(double a, double b) { return a * b; }
// Integers wrap around, as NumPy's do; signed overflow would be undefined.
NX_INLINE long long nx_add_i(long long a, long long b) { return (long long)((uint64_t)a + (uint64_t)b); }
NX_INLINE long long nx_mul_i(long long a, long long b) { return (long long)((uint64_t)a * (uint64_t)b); }

#define nx_add(a, b) _Generic((a), long long: nx_add_i, double: nx_add_d, default: nx_add_v)(a, b)
#define nx_mul(a, b) _Generic((a), long long: nx_mul_i, double: nx_mul_d, default: nx_mul_v)(a, b)
#define nx_larger(a, b) _Generic((a), long long: nx_max_i, default: nx_max)(a, b)
#define nx_smaller(a, b) _Generic((a), long long: nx_min_i, default: nx_min)(a, b)

#endif
