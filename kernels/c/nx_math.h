// The functions that libm would supply, on vectors. Each states its error; a test measures it over all exponents.
#ifndef NX_MATH_H
#define NX_MATH_H

#include "nx_exp.h"
#include "nx_round.h"
#include "nx_trig.h"
#include "nx_wide.h"

#endif
