// float16, whose values travel as their 16 bits: not every engine has an array of them.

const SCRATCH = new DataView(new ArrayBuffer(8));

/**
 * The number that 16 bits stand for.
 * @param {number} bits
 */
export function fromHalf(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

/**
 * The bits of the nearest float16, the even one of two; beyond 65504 infinity.
 * @param {number} value
 */
export function toHalf(value) {
  SCRATCH.setFloat64(0, value);
  const top = SCRATCH.getUint32(0);
  const sign = (top >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, ((top >>> 20) & 2047) - 1023);
  const places = size / 2 ** (exponent - 10); // exact: a power of two
  const low = Math.floor(places);
  const rest = places - low;
  const rounded = low + (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? 1 : 0);
  // What carries over into the next exponent does so in the bits as well.
  return sign | ((exponent + 14) * 1024 + rounded);
}

/**
 * The numbers that an array of bits stands for, as float32, which holds them all.
 * @param {Uint16Array} bits
 */
export function widenHalves(bits) {
  const Half = /** @type {any} */ (globalThis).Float16Array; // not every browser has it
  if (!Half) return Float32Array.from(bits, fromHalf);
  return new Float32Array(new Half(bits.buffer, bits.byteOffset, bits.length));
}

/**
 * The bits of the float16 nearest to each number.
 * @param {Float32Array<ArrayBuffer>} values
 */
export function narrowHalves(values) {
  const Half = /** @type {any} */ (globalThis).Float16Array;
  return Half ? new Uint16Array(new Half(values).buffer) : Uint16Array.from(values, toHalf);
}
