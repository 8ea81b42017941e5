// The functions that expressions call and WGSL has not, or has not for every float. Placed before a shader's own code.
// A GPU may flush denormals, and its builtins have wider bounds than nx_math.h states.

fn nx_isnan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn nx_isinf(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }

fn nx_sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}

// The builtin may overflow on the way; beyond 10 the answer is 1.
fn nx_tanh(x: f32) -> f32 { return tanh(clamp(x, -10.0, 10.0)); }

fn nx_log10(x: f32) -> f32 { return log2(x) * 0.30102999566398120; }

// Near 0 by its series, where a difference would cancel.
fn nx_expm1(x: f32) -> f32 {
  let near = x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * (0.008333334 + x * 0.0013888889)))));
  return select(exp(x) - 1.0, near, abs(x) < 0.35);
}

// What rounding lost of 1 + x, made good; as nx_math.h.
fn nx_log1p(x: f32) -> f32 {
  let u = 1.0 + x;
  let lost = select(1.0 - (u - x), x - (u - 1.0), x < 1.0);
  return select(log(u), log(u) + lost / u, u > 0.0 && u < 1e30);
}

// The fits of nx_math.h.
fn nx_erf(x: f32) -> f32 {
  let a = abs(x);
  let z = x * x;
  var p = 8.316772812e-5;
  p = p * z - 8.130012253e-4;
  p = p * z + 5.199906654e-3;
  p = p * z - 2.685894152e-2;
  p = p * z + 1.128368719e-1;
  p = p * z - 3.761263319e-1;
  p = p * z + 1.283791666e-1;
  let c = min(a, 4.0);
  var q = 5.150920935e-6;
  q = q * c - 4.820272196e-5;
  q = q * c - 3.606226285e-5;
  q = q * c + 2.892293957e-3;
  q = q * c - 2.261199881e-2;
  q = q * c + 1.052029018e-1;
  q = q * c + 6.356565285e-1;
  q = q * c + 1.285448987e-1;
  let y = select(1.0 - exp(-(q * c + c)), p * a + a, a < 0.92);
  return select(y, -y, x < 0.0);
}

// The builtin leaves the origin open.
fn nx_atan2(y: f32, x: f32) -> f32 {
  if (x == 0.0 && y == 0.0) { return select(y, 3.1415927, bitcast<u32>(x) >> 31u == 1u); }
  return atan2(y, x);
}

// The builtin takes no negative base.
fn nx_pow(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) { return 1.0; }
  let magnitude = pow(abs(x), y);
  let whole = trunc(y) == y;
  if (x >= 0.0) { return magnitude; }
  if (!whole) { return bitcast<f32>(bitcast<u32>(y) | 0x7fc00000u); }
  return select(magnitude, -magnitude, trunc(y * 0.5) != y * 0.5);
}

fn nx_mod(a: f32, b: f32) -> f32 {
  let r = a % b;
  return select(r, r + b, r != 0.0 && (r < 0.0) != (b < 0.0));
}

fn nx_floordiv(a: f32, b: f32) -> f32 { return round((a - nx_mod(a, b)) / b); }
