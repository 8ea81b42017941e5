// The dtypes, and Tensor: the way between JavaScript's values and flat arrays of a dtype.

import { NeurenixError } from './errors.js';
import { fromHalf, toHalf } from './half.js';

/** @import { ArrayTypes, DType, Nested, Scalar, Size, TypedArray } from './types.js' */
/** @import { Tensor as PublicTensor } from './types.js' */

/** The array class of each dtype. A float16 is its 16 bits, since not every engine has a Float16Array. */
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
  float16: Uint16Array, // behind uint16, whose arrays these are
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
 * Values in row-major order, with their shape and dtype.
 * @template {DType} [D=DType]
 * @implements {PublicTensor<D>}
 */
export class Tensor {
  /**
   * @param {readonly number[]} shape
   * @param {ArrayTypes[D] | readonly Nested[]} data
   * @param {D} [dtype] `data`'s own, or float32 for plain numbers, unless given
   */
  constructor(shape, data, dtype) {
    const bits = asBits(data, dtype);
    const given = /** @type {ArrayTypes[D] | readonly Nested[]} */ (bits ?? data);
    const found = dtype ?? (bits ? 'float16' : dtypeOf(data)) ?? (Array.isArray(data) ? 'float32' : undefined);
    if (!found || (!Array.isArray(given) && arrayName(given) !== allocate(found, 0)[Symbol.toStringTag])) {
      throw new NeurenixError('bad_input',
        `A tensor's data must be a typed array or an array of numbers, not ${describe(data)}.`);
    }
    if (!isShape(shape)) {
      throw new NeurenixError('bad_input',
        `A tensor's shape must be an array of whole numbers, not ${describe(shape)}.`);
    }
    const values = Array.isArray(given) ? fromValues(given.flat(Infinity), found, 'A tensor') : given;
    if (values.length !== product(shape)) {
      throw new NeurenixError('bad_input',
        `A tensor of shape ${show(shape)} has ${product(shape)} values; ${values.length} were given.`);
    }
    this.data = /** @type {ArrayTypes[D]} */ (values);
    this.shape = Object.freeze([...shape]);
    this.dtype = /** @type {D} */ (found);
  }

  get size() {
    return this.data.length;
  }

  async getData() {
    return this.data;
  }

  /** Nothing to do: the values are the page's own. Tensors on a GPU have more to let go of. */
  dispose() {}

  toArray() {
    return nest(this.#values(), this.shape);
  }

  toJSON() {
    return nest(this.#values().map(Number), this.shape);
  }

  #values() {
    return valuesOf(this.data, this.dtype);
  }
}

/**
 * The values of an array as numbers, 64-bit integers as bigints.
 * @param {TypedArray} data
 * @param {DType} dtype
 * @returns {(number | bigint)[]}
 */
export function valuesOf(data, dtype) {
  const values = Array.from(/** @type {Iterable<number | bigint>} */ (data));
  return dtype === 'float16' ? values.map((bits) => fromHalf(Number(bits))) : values;
}

/**
 * The bits of a Float16Array where a float16 is wanted; undefined for anything else.
 * @param {unknown} data
 * @param {DType} [dtype]
 * @returns {Uint16Array | undefined}
 */
export function asBits(data, dtype = 'float16') {
  if (dtype !== 'float16' || arrayName(data) !== 'Float16Array') return undefined;
  const { buffer, byteOffset, length } = /** @type {Uint16Array} */ (data);
  return new Uint16Array(buffer, byteOffset, length);
}

/**
 * Whether `value` is a Tensor, also one of another copy of this runtime.
 * @param {any} value
 * @returns {value is PublicTensor}
 */
export function isTensor(value) {
  return value instanceof Tensor
    || (isDType(value?.dtype) && isShape(value.shape) && arrayName(value.data) !== undefined);
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
    const number = dtype === 'float16' ? toHalf(Number(value)) : Number(value);
    if (whole) data[i] = /** @type {never} */ (big ? BigInt(/** @type {number} */ (value)) : number);
    const held = whole && (!exact || Number(data[i]) === Number(value));
    if (!held || (dtype === 'bool' && data[i] > 1)) {
      const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value);
      throw new NeurenixError('bad_input', `${what}: value ${i} is ${shown}, which is no ${dtype}.`);
    }
  });
  return data;
}

/**
 * The shape of nested arrays, or undefined when they are ragged.
 * @param {unknown} value
 * @returns {number[] | undefined}
 */
export function nestedShape(value) {
  if (!Array.isArray(value)) return [];
  if (!value.some(Array.isArray)) return [value.length];
  const [first, ...others] = value.map(nestedShape);
  const even = first && others.every((other) => other?.join() === first.join());
  return even ? [value.length, ...first] : undefined;
}

/** @param {readonly number[]} shape */
export function product(shape) {
  return shape.reduce((size, axis) => size * axis, 1);
}

/**
 * A shape as a person writes it: `[batch, 10]`.
 * @param {readonly Size[]} shape
 * @returns {string}
 */
export function show(shape) {
  return `[${shape.map(showSize).join(', ')}]`;
}

/**
 * What a value is, in a few words, for an error.
 * @param {unknown} value
 */
export function describe(value) {
  if (value === null || value === undefined) return String(value);
  if (isTensor(value)) return `a ${value.dtype} tensor of shape ${show(value.shape)}`;
  if (ArrayBuffer.isView(value)) {
    const { length, byteLength } = /** @type {Uint8Array} */ (value);
    return `a ${Object.prototype.toString.call(value).slice(8, -1)} of length ${length ?? byteLength}`;
  }
  if (Array.isArray(value)) {
    const shape = nestedShape(value);
    return shape ? `an array of shape ${show(shape)}` : 'an array whose rows differ in length';
  }
  return typeof value === 'object' ? 'an object' : `the ${typeof value} ${String(value).slice(0, 40)}`;
}

/**
 * @param {Size} size
 * @returns {string}
 */
function showSize(size) {
  if (typeof size !== 'object') return String(size);
  const [op, a, b] = size;
  return /^\w/.test(op) ? `${op}(${showSize(a)}, ${showSize(b)})` : `(${showSize(a)} ${op} ${showSize(b)})`;
}

/**
 * @param {unknown} shape
 * @returns {shape is readonly number[]}
 */
export function isShape(shape) {
  return Array.isArray(shape) && shape.every((axis) => Number.isSafeInteger(axis) && axis >= 0);
}

/**
 * @param {Scalar[]} values
 * @param {readonly number[]} shape
 * @returns {Nested}
 */
function nest(values, shape) {
  if (shape.length === 0) return values[0];
  if (shape.length === 1) return values;
  const [length, ...inner] = shape;
  const step = product(inner);
  return Array.from({ length }, (_, i) => nest(values.slice(i * step, (i + 1) * step), inner));
}

/**
 * The dtype of a typed array.
 * @param {unknown} value
 * @returns {DType | undefined}
 */
function dtypeOf(value) {
  const name = arrayName(value);
  const names = /** @type {DType[]} */ (Object.keys(ARRAYS));
  return names.find((dtype) => ARRAYS[dtype].name === name);
}
