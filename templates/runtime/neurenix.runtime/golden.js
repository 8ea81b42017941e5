// The golden cases of a bundle: makes their inputs by FORMAT.md's formula, compares answers, and tries a GPU.

import { evaluateShape } from './dims.js';
import { NeurenixError } from './errors.js';
import { toHalf } from './half.js';
import { allocate, product, valuesOf } from './tensor.js';

/** @import { Field } from './field.js' */
/** @import { Call, Golden, Manifest, Port } from './internal.js' */
/** @import { DType, Tensor, TypedArray } from './types.js' */
/** @import { WebGPUBackend } from './webgpu.js' */

/**
 * A golden case's inputs, ready to run.
 * @param {Golden} golden
 * @param {readonly Port[]} inputs
 * @returns {Call}
 */
export function goldenCall(golden, inputs) {
  const dims = new Map(golden.dims);
  const arrays = inputs.map(({ name, dtype, shape }) => {
    const data = allocate(dtype, product(evaluateShape(shape, dims)));
    const recipe = golden.inputs.get(name);
    if (recipe.has('data')) fillBytes(data, recipe.get('data'));
    else fillHash(data, dtype, recipe);
    return data;
  });
  return { dims, arrays };
}

/**
 * The largest `|answer - expected| / max(1, |expected|)` over every output; infinite for another length.
 * @param {Golden} golden
 * @param {Readonly<Record<string, Tensor>>} answers
 * @param {readonly Pick<Port, 'name' | 'lengths'>[]} [outputs]
 */
export function goldenError(golden, answers, outputs = []) {
  let largest = 0;
  for (const { name, lengths } of outputs) {
    const known = lengths.length ? golden.lengths.get(name).list((length) => length.integer()) : [];
    if (lengths.some(({ axis }, i) => answers[name].shape[axis] !== known[i])) return Infinity;
  }
  for (const [name, { data, dtype }] of Object.entries(answers)) {
    const expected = allocate(dtype, data.length);
    fillBytes(expected, golden.outputs.get(name));
    const wanted = valuesOf(expected, dtype);
    valuesOf(data, dtype).forEach((value, i) => {
      largest = Math.max(largest, difference(Number(value), Number(wanted[i])));
    });
  }
  return largest;
}

/**
 * Have a GPU answer every golden case, and refuse one that is off.
 * @param {WebGPUBackend} gpu
 * @param {Manifest} manifest
 */
export async function prove(gpu, { name, golden, inputs, outputs }) {
  if (!golden.length) {
    throw new NeurenixError('unsupported', `${name} carries no golden values, by which a GPU could prove itself.`);
  }
  for (const known of golden) {
    const answers = /** @type {any} */ (await gpu.run(goldenCall(known, inputs)));
    const error = goldenError(known, answers, outputs);
    const limit = Math.max(known.tolerance, gpu.tolerance);
    if (!(error <= limit)) {
      throw new NeurenixError('verification_failed',
        `${name} answers wrongly on this GPU (${gpu.stats.adapter}): it is off by ${error.toPrecision(2)}, `
        + `the limit is ${limit}.`);
    }
  }
}

/**
 * The 32-bit hash that FORMAT.md defines for element `i` of an input with `seed`.
 * @param {number} i
 * @param {number} seed
 */
export function hash(i, seed) {
  let h = (Math.imul(i, 2654435761) + Math.imul(seed, 2246822519)) | 0;
  h = Math.imul(h ^ (h >>> 15), 2246822519);
  h = Math.imul(h ^ (h >>> 13), 3266489917);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * @param {TypedArray} data
 * @param {DType} dtype
 * @param {Field} recipe
 */
function fillHash(data, dtype, recipe) {
  const seed = recipe.get('seed').integer();
  const low = recipe.get('low').number();
  const high = recipe.get('high').number();
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  const whole = !dtype.startsWith('float');
  for (let i = 0; i < data.length; i++) {
    const value = low + (high - low) * ((hash(i, seed) >>> 8) / 2 ** 24);
    const rounded = whole ? Math.floor(value) : value;
    data[i] = /** @type {never} */ (big ? BigInt(rounded) : dtype === 'float16' ? toHalf(rounded) : rounded);
  }
}

/**
 * @param {TypedArray} data
 * @param {Field} base64
 */
function fillBytes(data, base64) {
  const text = atob(base64.text());
  if (text.length !== data.byteLength) throw base64.error(`has ${text.length} bytes, not ${data.byteLength}`);
  new Uint8Array(data.buffer).set(Uint8Array.from(text, (char) => char.charCodeAt(0)));
}

/**
 * Equal values, NaN and infinities included, differ by nothing; NaN against a number by infinity.
 * @param {number} answer
 * @param {number} expected
 */
function difference(answer, expected) {
  if (Object.is(answer, expected) || answer === expected) return 0;
  const error = Math.abs(answer - expected) / Math.max(1, Math.abs(expected));
  return Number.isNaN(error) ? Infinity : error;
}
