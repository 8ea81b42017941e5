// What a typed kernel computes each element type in, how it reads one and how it writes one.
//
// NX_CALC(type) is the type to compute in: float and double as they are, a half in float, whole numbers in 64 bits.
// nx_get(type) makes an NX_CALC(type) of an element and nx_put(type) an element of any number; NX_LEAST and NX_MOST
// are the ends of a type's range.
#ifndef NX_TYPES_H
#define NX_TYPES_H

#include "nx_scalar.h"

#define NX_PASTE(a, b) NX_PASTE_(a, b)
#define NX_PASTE_(a, b) a##b

// 1 where the type is float, which the preprocessor cannot compare by itself.
#define NX_KIND_float 1
#define NX_IS_FLOAT(type) NX_PASTE(NX_KIND_, type)

#define NX_CALC(type) NX_PASTE(NX_CALC_, type)
#define NX_CALC_float float
#define NX_CALC_double double
#define NX_CALC_nx_half float
#define NX_CALC_int64_t long long
#define NX_CALC_int32_t long long
#define NX_CALC_int16_t long long
#define NX_CALC_int8_t long long
#define NX_CALC_uint64_t unsigned long long
#define NX_CALC_uint32_t long long
#define NX_CALC_uint16_t long long
#define NX_CALC_uint8_t long long

#define nx_get(type) NX_PASTE(nx_get_, type)
#define nx_get_float(x) (x)
#define nx_get_double(x) (x)
#define nx_get_nx_half(x) nx_half_to_float(x)
#define nx_get_int64_t(x) ((long long)(x))
#define nx_get_int32_t(x) ((long long)(x))
#define nx_get_int16_t(x) ((long long)(x))
#define nx_get_int8_t(x) ((long long)(x))
#define nx_get_uint64_t(x) ((unsigned long long)(x))
#define nx_get_uint32_t(x) ((long long)(x))
#define nx_get_uint16_t(x) ((long long)(x))
#define nx_get_uint8_t(x) ((long long)(x))

// A float that becomes a whole number is cut off, and never undefined: see nx_to_integer.
NX_INLINE long long nx_whole_same(long long x) { return x; }
#define nx_whole(x) _Generic((x), float: nx_to_integer_1, double: nx_to_integer_d, default: nx_whole_same)(x)
#define nx_unsigned(x) \
  _Generic((x), float: nx_to_unsigned_1, double: nx_to_unsigned_d, default: nx_whole_same)(x)

#define nx_put(type) NX_PASTE(nx_put_, type)
#define nx_put_float(x) ((float)(x))
#define nx_put_double(x) ((double)(x))
#define nx_put_nx_half(x) _Generic((x), double: nx_half_of_double, default: nx_half_of_float)(x)
#define nx_put_int64_t(x) ((int64_t)nx_whole(x))
#define nx_put_int32_t(x) ((int32_t)nx_whole(x))
#define nx_put_int16_t(x) ((int16_t)nx_whole(x))
#define nx_put_int8_t(x) ((int8_t)nx_whole(x))
#define nx_put_uint64_t(x) ((uint64_t)nx_unsigned(x))
#define nx_put_uint32_t(x) ((uint32_t)nx_whole(x))
#define nx_put_uint16_t(x) ((uint16_t)nx_whole(x))
#define nx_put_uint8_t(x) ((uint8_t)nx_whole(x))

#define NX_LEAST(type) NX_PASTE(NX_LEAST_, type)
#define NX_LEAST_float (-__builtin_inff())
#define NX_LEAST_double (-__builtin_inf())
#define NX_LEAST_nx_half (-__builtin_inff())
#define NX_LEAST_int64_t INT64_MIN
#define NX_LEAST_int32_t INT32_MIN
#define NX_LEAST_int16_t INT16_MIN
#define NX_LEAST_int8_t INT8_MIN
#define NX_LEAST_uint64_t 0
#define NX_LEAST_uint32_t 0
#define NX_LEAST_uint16_t 0
#define NX_LEAST_uint8_t 0

#define NX_MOST(type) NX_PASTE(NX_MOST_, type)
#define NX_MOST_float __builtin_inff()
#define NX_MOST_double __builtin_inf()
#define NX_MOST_nx_half __builtin_inff()
#define NX_MOST_int64_t INT64_MAX
#define NX_MOST_int32_t INT32_MAX
#define NX_MOST_int16_t INT16_MAX
#define NX_MOST_int8_t INT8_MAX
#define NX_MOST_uint64_t UINT64_MAX
#define NX_MOST_uint32_t UINT32_MAX
#define NX_MOST_uint16_t UINT16_MAX
#define NX_MOST_uint8_t UINT8_MAX

#endif
