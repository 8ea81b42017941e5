// The dtypes, and how JavaScript values become arrays of them.

import { NeurenixError } from './errors.js';

/** @import { DType, TypedArray } from './types.js' */

/** The array class of each dtype. */
export const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/**
 * @param {unknown} name
 * @returns {name is DType}
 */
export function isDType(name) {
  return typeof name === 'string' && Object.hasOwn(ARRAYS, name);
}

/**
 * An empty array for `length` values.
 * @param {DType} dtype
 * @param {number} length
 * @returns {TypedArray}
 */
export function allocate(dtype, length) {
  return new ARRAYS[dtype](length);
}

/**
 * The class name of a typed array, also of one from another window; undefined for anything else.
 * @param {unknown} value
 * @returns {string | undefined}
 */
export function arrayName(value) {
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return undefined;
  const name = /** @type {any} */ (value)[Symbol.toStringTag];
  return name === 'Uint8ClampedArray' ? 'Uint8Array' : name; // a canvas gives clamped bytes: still bytes
}

/**
 * The dtype of a typed array.
 * @param {unknown} value
 * @returns {DType | undefined}
 */
export function dtypeOf(value) {
  const name = arrayName(value);
  const names = /** @type {DType[]} */ (Object.keys(ARRAYS));
  return names.find((dtype) => ARRAYS[dtype].name === name);
}

/**
 * Plain values as an array of `dtype`; refuses what the dtype cannot hold instead of bending it.
 * @param {readonly unknown[]} values
 * @param {DType} dtype
 * @param {string} what names the values in an error
 */
export function fromValues(values, dtype, what) {
  const data = allocate(dtype, values.length);
  const big = typeof data[0] === 'bigint';
  const exact = !dtype.startsWith('float');
  values.forEach((value, i) => {
    const known = typeof value === 'number' || typeof value === 'boolean' || (big && typeof value === 'bigint');
    const whole = known && (!exact || typeof value === 'bigint' || Number.isInteger(Number(value)));
    if (whole) data[i] = /** @type {never} */ (big ? BigInt(/** @type {number} */ (value)) : Number(value));
    const held = whole && (!exact || Number(data[i]) === Number(value));
    if (!held || (dtype === 'bool' && data[i] > 1)) {
      const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value);
      throw new NeurenixError('bad_input', `${what}: value ${i} is ${shown}, which is no ${dtype}.`);
    }
  });
  return data;
}
