// The vocabulary of nx_simd.h and nx_math.h for single values: `_1` for a float, `_i` for a 64-bit integer.
#ifndef NX_SCALAR_H
#define NX_SCALAR_H

#include "nx_math.h"

#define nx_select_1(condition, a, b) ((condition) ? (a) : (b))
#define nx_select_i(condition, a, b) ((condition) ? (a) : (b))

// One lane of the vector function: the same answer to the last bit.
NX_INLINE float nx_exp_1(float x) { return nx_exp(nx_set(x))[0]; }
NX_INLINE float nx_log_1(float x) { return nx_log(nx_set(x))[0]; }
NX_INLINE float nx_tanh_1(float x) { return nx_tanh(nx_set(x))[0]; }
NX_INLINE float nx_sqrt_1(float x) { return nx_sqrt(nx_set(x))[0]; }
NX_INLINE float nx_abs_1(float x) { return nx_abs(nx_set(x))[0]; }
NX_INLINE float nx_max_1(float a, float b) { return a > b || a != a ? a : b; }
NX_INLINE float nx_min_1(float a, float b) { return a < b || a != a ? a : b; }

NX_INLINE long long nx_to_integer_1(float x) { return (long long)x; }

NX_INLINE long long nx_abs_i(long long x) { return x < 0 ? -x : x; }
NX_INLINE long long nx_max_i(long long a, long long b) { return a > b ? a : b; }
NX_INLINE long long nx_min_i(long long a, long long b) { return a < b ? a : b; }

#endif
