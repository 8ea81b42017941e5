// Outputs whose size depends on data: their buffers hold the most that there can be, and are cut to what is.

import { NeurenixError } from './errors.js';
import { product } from './tensor.js';

/** @import { Port } from './internal.js' */
/** @import { TypedArray } from './types.js' */

/**
 * A copy of an output's values, cut to its true lengths, and the shape that this gives.
 * @param {Port} port
 * @param {TypedArray} data of the largest shape
 * @param {readonly number[]} shape that shape
 * @param {(offset: number) => number} read the length at an offset of the arena
 */
export function cut({ name, lengths }, data, shape, read) {
  let kept = data;
  const sizes = [...shape];
  for (const { axis, offset } of lengths) {
    const length = read(offset);
    if (!(length >= 0 && length <= sizes[axis])) {
      throw new NeurenixError('bad_dims',
        `The output '${name}' has ${length} along axis ${axis}; the model was planned for ${sizes[axis]} at most.`);
    }
    kept = shorten(kept, sizes, axis, length);
    sizes[axis] = length;
  }
  return { data: kept === data ? data.slice() : kept, shape: sizes };
}

/**
 * The first `length` entries along an axis, row by row.
 * @param {TypedArray} data
 * @param {readonly number[]} shape
 * @param {number} axis
 * @param {number} length
 */
function shorten(data, shape, axis, length) {
  const inner = product(shape.slice(axis + 1));
  const [whole, part] = [shape[axis] * inner, length * inner];
  const kept = data.slice(0, product(shape.slice(0, axis)) * part);
  for (let from = whole, to = part; to < kept.length; from += whole, to += part) {
    kept.set(/** @type {any} */ (data.subarray(from, from + part)), to);
  }
  return kept;
}
