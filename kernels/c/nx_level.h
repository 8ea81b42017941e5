// Which instruction level this CPU has, for the host that chooses between libraries: 3 for x86-64-v3, else 0.
#ifndef NX_LEVEL_H
#define NX_LEVEL_H

#include "nx_host.h"

#if defined(__x86_64__)

static void nx_cpuid(unsigned leaf, unsigned sub, unsigned out[4]) {
  __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(sub));
}

NX_EXPORT int nx_level(void) {
  unsigned top[4], features[4], more[4], low, high;
  nx_cpuid(0, 0, top);
  if (top[0] < 7) return 0;
  nx_cpuid(1, 0, features);
  nx_cpuid(7, 0, more);
  // FMA, MOVBE, OSXSAVE, AVX, F16C of leaf 1; BMI1, AVX2, BMI2 of leaf 7.
  const unsigned wanted = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
  if ((features[2] & wanted) != wanted) return 0;
  if ((more[1] & (1u << 3 | 1u << 5 | 1u << 8)) != (1u << 3 | 1u << 5 | 1u << 8)) return 0;
  // The system must save the wide registers too.
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6 ? 3 : 0;
}

#else

NX_EXPORT int nx_level(void) { return 0; }

#endif
#endif
