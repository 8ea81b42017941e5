// float16: 16 bits that are stored, never computed with. Written out, since not every target can convert them.
#ifndef NX_HALF_H
#define NX_HALF_H

#include <stdint.h>

// A struct, so that computing with the bits by mistake does not compile.
typedef struct {
  uint16_t bits;
} nx_half;

// Exact, denormals and NaN included.
static inline float nx_half_to_float(nx_half h) {
  union { uint32_t u; float f; } v = {(uint32_t)(h.bits & 0x7fffu) << 13};
  if (v.u >= 0x7c00u << 13)
    v.u |= 0x7f800000u;  // infinity and NaN keep their largest exponent
  else
    v.f *= 0x1p112f;  // the exponents' zeros lie 112 apart, and a denormal becomes normal by the product
  v.u |= (uint32_t)(h.bits & 0x8000u) << 16;
  return v.f;
}

// The nearest, the even one of two; beyond 65504 infinity.
static inline nx_half nx_half_of_float(float x) {
  union { float f; uint32_t u; } v = {x};
  const uint32_t sign = v.u >> 16 & 0x8000u;
  v.u &= 0x7fffffffu;
  if (v.u > 0x7f800000u) return (nx_half){(uint16_t)(sign | 0x7e00u | (v.u >> 13 & 0x3ffu))};
  if (v.u >= 0x47800000u) return (nx_half){(uint16_t)(sign | 0x7c00u)};
  if (v.u < 0x38800000u) {  // below 2^-14 the places of float16 are those of a float beside 1/2
    v.f += 0.5f;
    return (nx_half){(uint16_t)(sign | (v.u - 0x3f000000u))};
  }
  v.u += 0xfffu + (v.u >> 13 & 1u) - (112u << 23);
  return (nx_half){(uint16_t)(sign | v.u >> 13)};
}

// Rounded once: the float on the way is cut off, and its last place set where something was lost.
static inline nx_half nx_half_of_double(double x) {
  union { float f; uint32_t u; } v = {(float)x};
  const double d = (double)v.f;
  if (d != x && x == x) {
    if ((d < 0 ? -d : d) > (x < 0 ? -x : x)) v.u--;
    v.u |= 1u;
  }
  return nx_half_of_float(v.f);
}

#endif
