// The functions that expressions and kernels call and WGSL has not, or has not for every float, or not accurately enough.
// A shader gets those that it uses. Each is a line, or ends with a brace at a line's start.
//
// WGSL lets an implementation take it that no NaN and no infinity exists, and flush denormals: what is said of them here
// holds where it does not. Bit tests always work. The builtins that are called bare (sqrt, abs, roundings, and log and log2
// of normal numbers) have bounds in the specification that suffice; sin is allowed 2^-11 off there, exp 2 |x| ulp, and atan 4096 ulp.
// Bounds named below are of the formula, each operation rounded once.

fn nx_isnan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn nx_isinf(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }

// Whether a number is not 0, by its bits: a NaN is not, nor is a denormal.
fn nx_nonzero(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) != 0u; }

// There are no literals of these, and a constant expression must not make them: a variable is none.
var<private> nx_inf_bits: u32 = 0x7f800000u;
var<private> nx_nan_bits: u32 = 0x7fc00000u;
fn nx_inf() -> f32 { return bitcast<f32>(nx_inf_bits); }
fn nx_nan() -> f32 { return bitcast<f32>(nx_nan_bits); }

// Comparisons that a NaN fails: a compiler that takes it that there is none turns `!(a < b)` into `a >= b`.
// Both sides are always computed, here and below: a branch each, inlined everywhere, is slow to compile.
fn nx_lt(a: f32, b: f32) -> bool { return (a < b) & !(nx_isnan(a) | nx_isnan(b)); }
fn nx_le(a: f32, b: f32) -> bool { return (a <= b) & !(nx_isnan(a) | nx_isnan(b)); }

// A NaN in either comes out, as from nx_max in C.
fn nx_max(a: f32, b: f32) -> f32 { return select(b, a, (a > b) | nx_isnan(a)); }
fn nx_min(a: f32, b: f32) -> f32 { return select(b, a, (a < b) | nx_isnan(a)); }
// Not by joining bits: Mesa 25.0 takes select(nx_copysign(a, x), x, nx_isnan(x)) for something else then.
fn nx_copysign(a: f32, b: f32) -> f32 { return select(abs(a), -abs(a), bitcast<u32>(b) >= 0x80000000u); }

// Cut off towards zero; what no 32-bit integer equals, NaN too, gives the lowest.
fn nx_to_integer(x: f32) -> i32 {
  let inside = x >= -2147483648.0 && x < 2147483648.0 && !nx_isnan(x);
  return select(i32(-2147483648), i32(select(0.0, x, inside)), inside);
}

// The nearest float16, the even one of two; beyond 65504 infinity, and a NaN stays what it is. By integers alone: WGSL
// leaves open which way a sum is rounded, and what quantizeToF16 makes of numbers beyond and of denormals.
fn nx_to_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return x; }
  // Of a float's 23 places 10 are kept, and one less for each doubling below 2^-14.
  let lost = 13u + select(0u, 113u - (size >> 23u), size < 0x38800000u);
  var half = select(0u, 0x33800000u, size > 0x33000000u);  // below 2^-24: that, or nothing
  if (lost < 24u) {
    half = ((size + (1u << (lost - 1u)) - 1u + ((size >> lost) & 1u)) >> lost) << lost;
    half = select(half, 0x7f800000u, half >= 0x47800000u);
  }
  return bitcast<f32>(half | (bits & 0x80000000u));
}

// 2^n for integral n in [-126, 127].
fn nx_pow2(n: i32) -> f32 { return bitcast<f32>((n + 127) << 23u); }

// e^r - 1 for |r| <= ln(2) / 2, after Cephes (Moshier, 1992).
fn nx_exp_part(r: f32) -> f32 {
  var p = 1.9875691500e-4;
  p = p * r + 1.3981999507e-3;
  p = p * r + 8.3334519073e-3;
  p = p * r + 4.1665795894e-2;
  p = p * r + 1.6666665459e-1;
  p = p * r + 5.0000001201e-1;
  return p * (r * r) + r;
}

// e^x, 2 ulp.
fn nx_exp(x: f32) -> f32 {
  let c = clamp(x, -104.0, 89.0);
  let n = round(c * 1.44269504088896341);
  // Cody and Waite: the first part of ln 2 is short enough for n times it to be exact.
  let p = nx_exp_part((c - n * 0.693359375) - n * -2.12194440e-4) + 1.0;
  let half = i32(n) >> 1u;
  let y = p * nx_pow2(half) * nx_pow2(i32(n) - half);
  return select(y, x, nx_isnan(x));
}

// 2^x, 3 ulp.
fn nx_exp2(x: f32) -> f32 {
  let c = clamp(x, -151.0, 129.0);
  let n = round(c);
  let p = nx_exp_part((c - n) * 0.69314718055994531) + 1.0;
  let half = i32(n) >> 1u;
  let y = p * nx_pow2(half) * nx_pow2(i32(n) - half);
  return select(y, x, nx_isnan(x));
}

// e^x - 1: near 0 without the 1 that would cancel, and with the sign of a zero.
fn nx_expm1(x: f32) -> f32 {
  if (x == 0.0) { return x; }
  if (abs(x) < 0.34) { return nx_exp_part(x); }
  return nx_exp(x) - 1.0;
}

fn nx_sigmoid(x: f32) -> f32 {
  let e = nx_exp(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}

// As nx_math.h: a polynomial below 0.625, exponentials above. 2 ulp.
fn nx_tanh(x: f32) -> f32 {
  let a = abs(x);
  let z = x * x;
  var p = -5.70498872745e-3;
  p = p * z + 2.06390887954e-2;
  p = p * z - 5.37397155531e-2;
  p = p * z + 1.33314422036e-1;
  p = p * z - 3.33332819422e-1;
  let large = 1.0 - 2.0 / (nx_exp(min(a + a, 40.0)) + 1.0);
  return select(nx_copysign(select(large, p * z * a + a, a < 0.625), x), x, nx_isnan(x));
}

// The builtins may take a denormal for 0, or for the smallest normal number: it is scaled first.
fn nx_log(x: f32) -> f32 {
  let tiny = x < 1.17549435e-38;
  return nx_log_ends(x, log(select(x, x * 16777216.0, tiny)) - select(0.0, 16.635532333438687, tiny));
}
fn nx_log2(x: f32) -> f32 {
  let tiny = x < 1.17549435e-38;
  return nx_log_ends(x, log2(select(x, x * 16777216.0, tiny)) - select(0.0, 24.0, tiny));
}
// A logarithm y of x, but for what the builtins say as they like: SwiftShader's take 0 for the smallest normal number.
fn nx_log_ends(x: f32, y: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) == 0u) { return -nx_inf(); }
  if (bits == 0x7f800000u || nx_isnan(x)) { return x; }
  return select(y, nx_nan(), bits >= 0x80000000u);
}
fn nx_log10(x: f32) -> f32 { return nx_log2(x) * 0.30102999566398120; }

// What rounding lost of 1 + x, made good; as nx_math.h.
fn nx_log1p(x: f32) -> f32 {
  let u = 1.0 + x;
  let lost = select(1.0 - (u - x), x - (u - 1.0), x < 1.0);
  let y = nx_log(u);
  return select(select(y, y + lost / u, u > 0.0 && u < 1e30), x, abs(x) < 1e-8);
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
  let y = select(1.0 - nx_exp(-(q * c + c)), p * a + a, a < 0.92);
  return select(nx_copysign(y, x), x, nx_isnan(x));
}

// x = q * pi / 2 + r with |r| <= pi / 4: r and q. Good for |x| up to some 10^4; further out r loses bits, one for each
// doubling, and beyond 10^7 a sine means nothing here.
fn nx_turned(x: f32) -> vec2<f32> {
  let q = round(x * 0.63661977236758134);
  return vec2<f32>(((x - q * 1.5703125) - q * 4.837512969970703125e-4) - q * 7.54978995489188216e-8, q);
}

// The sine and the cosine of |r| <= pi / 4, after Cephes.
fn nx_sine(r: f32) -> f32 {
  let z = r * r;
  return ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
}
fn nx_cosine(r: f32) -> f32 {
  let z = r * r;
  return ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
}
fn nx_sin_of(r: f32, quarter: i32) -> f32 {
  let y = select(nx_sine(r), nx_cosine(r), (quarter & 1) == 1);
  return select(y, -y, (quarter & 2) == 2);
}
fn nx_sin(x: f32) -> f32 {
  let t = nx_turned(x);
  return select(nx_sin_of(t.x, i32(t.y)), x, x == 0.0);  // -0 too
}
fn nx_cos(x: f32) -> f32 {
  let t = nx_turned(x);
  return nx_sin_of(t.x, i32(t.y) + 1);
}
fn nx_tan(x: f32) -> f32 {
  let t = nx_turned(x);
  let s = nx_sine(t.x);
  let c = nx_cosine(t.x);
  return select(select(s / c, -c / s, (i32(t.y) & 1) == 1), x, x == 0.0);
}

// asin(x) for x within [0, 1/2], after Cephes.
fn nx_asin_part(x: f32) -> f32 {
  let z = x * x;
  var p = 4.2163199048e-2;
  p = p * z + 2.4181311049e-2;
  p = p * z + 4.5470025998e-2;
  p = p * z + 7.4953002686e-2;
  p = p * z + 1.6666752422e-1;
  return p * z * x + x;
}
// The arcsine; NaN beyond 1.
fn nx_asin(x: f32) -> f32 {
  let a = abs(x);
  if (!(a <= 1.0)) { return nx_nan(); }
  let far = 1.5707963267948966 - 2.0 * nx_asin_part(sqrt(0.5 * (1.0 - a)));
  return nx_copysign(select(nx_asin_part(a), far, a > 0.5), x);
}
fn nx_acos(x: f32) -> f32 {
  let a = abs(x);
  if (!(a <= 1.0)) { return nx_nan(); }
  let far = 2.0 * nx_asin_part(sqrt(0.5 * (1.0 - a)));
  let near = 1.5707963267948966 - nx_copysign(nx_asin_part(a), x);
  return select(near, select(far, 3.1415926535897932 - far, x < 0.0), a > 0.5);
}

// atan(x) for x in [0, 1], after Cephes.
fn nx_atan_part(x: f32) -> f32 {
  let high = x > 0.41421356237309505;
  let t = select(x, (x - 1.0) / (x + 1.0), high);
  let z = t * t;
  let p = (((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1) * z * t + t;
  return select(p, p + 0.78539816339744831, high);
}
fn nx_atan(x: f32) -> f32 {
  let a = abs(x);
  let y = select(nx_atan_part(min(a, 1.0)), 1.5707963267948966 - nx_atan_part(1.0 / max(a, 1.0)), a > 1.0);
  return select(nx_copysign(y, x), x, nx_isnan(x));
}
// The angle of the point (x, y), signed zeros and infinities as in C99.
fn nx_atan2(y: f32, x: f32) -> f32 {
  if (nx_isnan(x) || nx_isnan(y)) { return nx_nan(); }
  let both = nx_isinf(x) && nx_isinf(y);
  let ay = select(abs(y), 1.0, both);
  let ax = select(abs(x), 1.0, both);
  let high = max(ax, ay);
  let t = select(min(ax, ay) / high, 0.0, high == 0.0 || nx_isinf(high));
  let p = nx_atan_part(t);
  let angle = select(p, 1.5707963267948966 - p, ay > ax);
  let behind = (bitcast<u32>(x) >> 31u) == 1u;
  return nx_copysign(select(angle, 3.1415926535897932 - angle, behind), y);
}

fn nx_sinh(x: f32) -> f32 {
  let a = abs(x);
  let z = x * x;
  let small = ((2.03721912945e-4 * z + 8.33028376239e-3) * z + 1.66667160211e-1) * z * x + x;
  let e = nx_exp(a - 0.69314718055994531);  // half of e^a, which may not overflow yet
  return select(nx_copysign(e - 0.25 / e, x), small, a < 1.0);
}
fn nx_cosh(x: f32) -> f32 {
  let e = nx_exp(abs(x) - 0.69314718055994531);
  return e + 0.25 / e;
}
fn nx_asinh(x: f32) -> f32 {
  let a = abs(x);
  let near = nx_log1p(a + a * a / (1.0 + sqrt(a * a + 1.0)));
  return nx_copysign(select(near, log(a) + 0.69314718055994531, a > 1e9), x);
}
fn nx_acosh(x: f32) -> f32 {
  let t = x - 1.0;
  if (!(t >= 0.0)) { return nx_nan(); }
  return select(nx_log1p(t + sqrt(2.0 * t + t * t)), log(x) + 0.69314718055994531, x > 1e9);
}
fn nx_atanh(x: f32) -> f32 {
  let a = abs(x);
  if (!(a <= 1.0)) { return nx_nan(); }
  return nx_copysign(0.5 * nx_log1p(2.0 * a / (1.0 - a)), x);
}

// 2^(y log2 a) for a > 0: the logarithm in two parts, or its rounding, times y, would be the answer's error.
fn nx_power(a: f32, y: f32) -> f32 {
  let tiny = a < 1.17549435e-38;
  let bits = bitcast<i32>(select(a, a * 16777216.0, tiny));
  let e = (bits - 0x3f3504f3) >> 23u;
  let m = bitcast<f32>(bits - (e << 23u));  // in [sqrt(1/2), sqrt(2))
  let n = f32(e) - select(0.0, 24.0, tiny);
  // log(m) = 2 atanh(s), s = (m - 1) / (m + 1), whose rounding is made good by d.
  let s = (m - 1.0) / (m + 1.0);
  let high = bitcast<f32>(bitcast<u32>(s) & 0xfffff000u);
  let h = bitcast<f32>(bitcast<u32>(m + 1.0) & 0xfffff000u);
  let l = m - (h - 1.0);
  let d = (((m - 1.0) - high * h) - high * l) / (m + 1.0);
  let z = s * s;
  let tail = d + s * z * (0.33333333 + z * (0.2 + z * (0.14285714 + z * (0.11111111 + z * 0.09090909))));
  // times 2 / ln 2 in two parts, the first short enough for its product with `high` to be exact.
  let first = high * 2.885009765625;
  let rest = high * 3.803161529268e-4 + tail * 2.8853900817779268;
  let whole = n + first;
  let left = (n - whole) + first + rest;
  // y times that sum, the first product's rounding made good.
  let wh = bitcast<f32>(bitcast<u32>(whole) & 0xfffff000u);
  let yh = bitcast<f32>(bitcast<u32>(y) & 0xfffff000u);
  let top = yh * wh;
  let more = yh * ((whole - wh) + left) + (y - yh) * (whole + left);
  let k = clamp(round(top + more), -152.0, 130.0);
  if (k < -151.0 || k > 129.0) { return select(0.0, nx_inf(), k > 0.0); }
  let p = nx_exp_part(((top - k) + more) * 0.69314718055994531) + 1.0;
  let third = i32(k) / 3;
  return p * nx_pow2(third) * nx_pow2(third) * nx_pow2(i32(k) - 2 * third);
}

// The special cases of C99.
fn nx_pow(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) { return 1.0; }
  if (nx_isnan(x) || nx_isnan(y)) { return nx_nan(); }
  let a = abs(x);
  let whole = trunc(y) == y;
  let odd = whole && abs(y) < 16777216.0 && trunc(y * 0.5) != y * 0.5;
  if (nx_isinf(y)) {
    if (a == 1.0) { return 1.0; }
    return select(0.0, nx_inf(), (a > 1.0) == (y > 0.0));
  }
  var magnitude = 0.0;
  if (a == 0.0 || nx_isinf(x)) {
    magnitude = select(0.0, nx_inf(), (a == 0.0) == (y < 0.0));
  } else {
    if (x < 0.0 && !whole) { return nx_nan(); }
    magnitude = nx_power(a, y);
  }
  return select(magnitude, nx_copysign(magnitude, x), odd);
}

// a modulo b with the sign of a, by long division on bits: exact for every float, denormals too.
fn nx_fmod(a: f32, b: f32) -> f32 {
  let x = bitcast<u32>(a) & 0x7fffffffu;
  let y = bitcast<u32>(b) & 0x7fffffffu;
  if (x >= 0x7f800000u || y > 0x7f800000u || y == 0u) { return nx_nan(); }
  if (x < y) { return a; }
  var e = max(i32(y >> 23u), 1);
  var shift = max(i32(x >> 23u), 1) - e;
  // Both as an integer times a power of two; a denormal has the exponent of the smallest normal number.
  let n = select(y, (y & 0x7fffffu) | 0x800000u, y >= 0x800000u);
  var m = select(x, (x & 0x7fffffu) | 0x800000u, x >= 0x800000u) % n;
  while (shift > 0 && m != 0u) {
    let bits = min(shift, 8);
    m = (m << u32(bits)) % n;
    shift -= bits;
  }
  while (m != 0u && m < 0x800000u && e > 1) {
    m = m << 1u;
    e -= 1;
  }
  let whole = select(m, (m & 0x7fffffu) | (u32(e) << 23u), m >= 0x800000u);
  return bitcast<f32>(whole | (bitcast<u32>(a) & 0x80000000u));
}
// With the sign of b, as Python's %.
fn nx_mod(a: f32, b: f32) -> f32 {
  let r = nx_fmod(a, b);
  if (r == 0.0) { return nx_copysign(0.0, b); }
  return select(r, r + b, (bitcast<i32>(r) ^ bitcast<i32>(b)) < 0);
}
// The whole quotient that goes with nx_mod.
fn nx_floordiv(a: f32, b: f32) -> f32 {
  if (b == 0.0) { return a / b; }
  let r = nx_fmod(a, b);
  let whole = (a - r) / b;
  let q = select(whole, whole - 1.0, r != 0.0 && (bitcast<i32>(r) ^ bitcast<i32>(b)) < 0);
  if (q == 0.0) { return nx_copysign(0.0, a / b); }
  return select(floor(q), floor(q) + 1.0, q - floor(q) > 0.5);
}

// Whole numbers: they wrap around, and a division by zero gives 0. There is no % here: OpenGL leaves open what it makes of
// negative numbers, and wgpu passes it on.
fn nx_fmod_i(a: i32, b: i32) -> i32 {
  let d = select(b, 1, b == 0 || b == -1);
  return a - a / d * d;
}
fn nx_mod_i(a: i32, b: i32) -> i32 {
  let r = nx_fmod_i(a, b);
  return select(r, r + b, r != 0 && (r ^ b) < 0);
}
fn nx_floordiv_i(a: i32, b: i32) -> i32 {
  if (b == 0 || b == -1) { return b * a; }
  let q = a / b;
  return q - select(0, 1, q * b != a && (a ^ b) < 0);
}
// By squaring. A negative power of a whole number is a fraction, and only 1 and -1 have a whole one.
fn nx_pow_i(x: i32, n: i32) -> i32 {
  if (n < 0) { return select(select(0, select(1, -1, (n & 1) == 1), x == -1), 1, x == 1); }
  var y = 1;
  var power = x;
  for (var left = n; left != 0; left = left >> 1u) {
    if ((left & 1) == 1) { y = y * power; }
    power = power * power;
  }
  return y;
}
// Shifts by a number that does not fit give what shifting one by one would.
fn nx_shl_i(x: i32, n: i32) -> i32 { return select(x << (u32(n) & 31u), 0, n < 0 || n > 31); }
fn nx_shr_i(x: i32, n: i32) -> i32 { return x >> select(u32(n), 31u, n < 0 || n > 31); }

// The place that an index names among n: -1 is the last one, what lies outside moves to the nearest end.
fn nx_clamped(index: i32, n: i32) -> i32 { return clamp(select(index, index + n, index < 0), 0, n - 1); }
// As nx_clamped, but what lies outside is -1.
fn nx_found(index: i32, n: i32) -> i32 {
  let at = select(index, index + n, index < 0);
  return select(at, -1, at < 0 || at >= n);
}
