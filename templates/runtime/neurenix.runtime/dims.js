// Symbolic dimensions: what a size expression is worth, and which sizes a call's inputs imply.

import { NeurenixError } from './errors.js';
import { describe, product, show } from './tensor.js';

/** @import { Dims, Given } from './internal.js' */
/** @import { Dim, Size } from './types.js' */

/** The operators of size expressions. */
export const OPERATORS = {
  '+': (/** @type {number} */ a, /** @type {number} */ b) => a + b,
  '*': (/** @type {number} */ a, /** @type {number} */ b) => a * b,
  '//': (/** @type {number} */ a, /** @type {number} */ b) => Math.floor(a / b),
  max: Math.max,
  min: Math.min,
};

/**
 * A size under `dims`; NaN when it depends on a dim that is not there.
 * @param {Size} size
 * @param {Dims} dims
 * @returns {number}
 */
export function evaluate(size, dims) {
  if (typeof size === 'number') return size;
  if (typeof size === 'string') return dims.get(size) ?? NaN;
  const [operator, a, b] = size;
  return OPERATORS[operator](evaluate(a, dims), evaluate(b, dims));
}

/**
 * The shape that `shape` stands for under `dims`.
 * @param {readonly Size[]} shape
 * @param {Dims} dims
 */
export function evaluateShape(shape, dims) {
  return shape.map((size) => evaluate(size, dims));
}

/**
 * Find every dim's size from a call's inputs, and check every shape against it.
 * @param {readonly Given[]} given
 * @param {readonly Dim[]} declared
 * @returns {Map<string, number>}
 */
export function bindDims(given, declared) {
  /** @type {Map<string, number>} */
  const dims = new Map(declared.filter(({ min, max }) => min === max).map(({ name, min }) => [name, min]));
  for (const input of given) if (input.shape) bindShape(input, dims);
  const mayBeEmpty = new Set(declared.filter(({ min }) => min === 0).map(({ name }) => name));
  for (const input of given) if (!input.shape) bindLength(input, dims, mayBeEmpty);
  for (const { name, min, max } of declared) {
    const size = dims.get(name);
    if (size === undefined) {
      throw new NeurenixError('bad_input',
        `No input says what the dim '${name}' is. Pass model.createTensor(shape, data).`);
    }
    if (size < min || size > max) {
      throw new NeurenixError('bad_dims',
        `The dim '${name}' is ${size}; the model was exported for ${min} to ${max}.`);
    }
  }
  for (const input of given) checkShape(input, dims);
  return dims;
}

/**
 * @param {Given} input
 * @param {Map<string, number>} dims
 */
function bindShape(input, dims) {
  const { info, shape } = input;
  if (shape?.length !== info.shape.length) throw mismatch(input);
  info.shape.forEach((size, axis) => {
    if (typeof size === 'string' && !dims.has(size)) dims.set(size, shape[axis]);
  });
}

/**
 * A flat array leaves at most one axis to its length.
 * @param {Given} input
 * @param {Map<string, number>} dims
 * @param {ReadonlySet<string>} mayBeEmpty
 */
function bindLength(input, dims, mayBeEmpty) {
  const { shape } = input.info;
  const open = shape.filter((size) => Number.isNaN(evaluate(size, dims)));
  if (open.length === 0) return;
  const [size] = open;
  if (open.length > 1 || typeof size !== 'string') {
    throw mismatch(input, ' Flat data leaves more than one size open: pass model.createTensor(shape, data).');
  }
  const rest = product(evaluateShape(shape.filter((other) => other !== size), dims));
  const count = input.data.length / rest;
  if (!Number.isInteger(count) || (count === 0 && !mayBeEmpty.has(size))) {
    throw mismatch(input, ` Its length must be a multiple of ${rest}, and not 0.`);
  }
  dims.set(size, count);
}

/**
 * @param {Given} input
 * @param {Map<string, number>} dims
 */
function checkShape(input, dims) {
  const expected = evaluateShape(input.info.shape, dims);
  const same = !input.shape || expected.join() === input.shape.join();
  if (!same) throw mismatch(input, ` Here that is ${show(expected)}.`);
  const length = product(expected);
  if (input.data.length !== length) throw mismatch(input, ` Its length must be ${length}.`);
}

/**
 * @param {Given} input
 * @param {string} [hint]
 */
function mismatch({ info, value }, hint = '') {
  const expected = `${info.dtype} of shape ${show(info.shape)}`;
  return new NeurenixError('bad_input',
    `Input '${info.name}' expects ${expected}, but got ${describe(value)}.${hint}`);
}
