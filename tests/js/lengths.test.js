// Outputs cut to what counts of them, along any axes, and lengths that cannot be.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cut } from '../../templates/runtime/neurenix.runtime/lengths.js';

const port = (...axes) => ({ name: 'y', dtype: 'float32', shape: [], offset: 0, lengths: axes.map((axis) => ({ axis, offset: axis })) });
const values = Float32Array.from({ length: 24 }, (_, i) => i); // [2, 3, 4]
const cutTo = (sizes) => {
  const axes = Object.keys(sizes).map(Number);
  return cut(port(...axes), values, [2, 3, 4], (offset) => sizes[offset]);
};

/** The same by the definition: one value after the other. */
function slow(sizes) {
  const shape = [2, 3, 4].map((size, axis) => sizes[axis] ?? size);
  const kept = [];
  values.forEach((value, i) => {
    const places = [Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4];
    if (places.every((place, axis) => place < shape[axis])) kept.push(value);
  });
  return { data: Float32Array.from(kept), shape };
}

test('every axis and every pair of axes is cut as the definition says', () => {
  for (const a of [0, 1, 2, undefined]) {
    for (const b of [0, 2, 3, undefined]) {
      for (const c of [0, 1, 4, undefined]) {
        const sizes = Object.fromEntries([a, b, c].map((size, axis) => [axis, size]).filter(([, size]) => size !== undefined));
        assert.deepEqual(cutTo(sizes), slow(sizes), JSON.stringify(sizes));
      }
    }
  }
});

test('what is given is never the memory that it came from', () => {
  for (const sizes of [{}, { 0: 2 }, { 2: 4 }]) assert.notEqual(cutTo(sizes).data.buffer, values.buffer);
});

test('64-bit values are cut alike', () => {
  const data = BigInt64Array.of(1n, 2n, 3n, 4n);
  assert.deepEqual(cut(port(1), data, [2, 2], () => 1), { data: BigInt64Array.of(1n, 3n), shape: [2, 1] });
});

test('a length that is negative, too large or no number is refused', () => {
  for (const length of [-1, 4, NaN]) {
    assert.throws(() => cut(port(1), values, [2, 3, 4], () => length), { code: 'bad_dims', message: /'y' has .* along axis 1/ });
  }
});
