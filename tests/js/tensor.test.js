// Tensor: shapes, nested arrays, JSON, and what it refuses.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isTensor, nestedShape, Tensor } from '../../templates/runtime/neurenix.runtime/tensor.js';

test('a tensor nests its values by its shape', async () => {
  const tensor = new Tensor([2, 1, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  assert.deepEqual(tensor.toArray(), [[[1, 2, 3]], [[4, 5, 6]]]);
  assert.equal(JSON.stringify({ tensor }), '{"tensor":[[[1,2,3]],[[4,5,6]]]}');
  assert.deepEqual([tensor.size, tensor.dtype, tensor.shape], [6, 'float32', [2, 1, 3]]);
  assert.equal(await tensor.getData(), tensor.data);
});

test('a scalar is a bare value, and an empty axis an empty array', () => {
  assert.equal(new Tensor([], Float32Array.of(7)).toArray(), 7);
  assert.deepEqual(new Tensor([0, 3], new Float32Array()).toArray(), []);
  assert.deepEqual(new Tensor([2, 0], new Float32Array()).toArray(), [[], []]);
});

test('64-bit integers stay exact in arrays and become numbers in JSON', () => {
  const tensor = new Tensor([2], BigInt64Array.of(1n, -2n));
  assert.deepEqual(tensor.toArray(), [1n, -2n]);
  assert.equal(JSON.stringify(tensor), '[1,-2]');
});

test('NaN becomes null in JSON, as JSON has none', () => {
  assert.equal(JSON.stringify(new Tensor([2], Float32Array.of(NaN, 1))), '[null,1]');
});

test('nested numbers are float32 unless a dtype is given', () => {
  assert.deepEqual(new Tensor([2, 2], [[1, 2], [3, 4]]).data, Float32Array.of(1, 2, 3, 4));
  assert.deepEqual(new Tensor([2], [1, 2], 'int32').data, Int32Array.of(1, 2));
});

const wrong = [
  ['too few values', () => new Tensor([2, 3], new Float32Array(5)), /\[2, 3\] has 6 values; 5/],
  ['a negative axis', () => new Tensor([-1], new Float32Array(1)), /whole numbers/],
  ['a fraction for a whole number', () => new Tensor([1], [1.5], 'int32'), /value 0 is 1.5, which is no int32/],
  ['a number that does not fit', () => new Tensor([1], [300], 'uint8'), /300, which is no uint8/],
  ['text', () => new Tensor([1], ['1']), /value 0 is "1"/],
  ['an object', () => new Tensor([1], {}), /typed array/],
  ['a dtype that is not the data\'s', () => new Tensor([1], new Float32Array(1), 'int32'), /Float32Array/],
];
for (const [what, make, message] of wrong) {
  test(`${what} is refused`, () => assert.throws(make, { name: 'NeurenixError', code: 'bad_input', message }));
}

test('a tensor of another copy of the runtime counts as one', () => {
  assert.ok(isTensor({ data: new Float32Array(2), shape: [2], dtype: 'float32' }));
  assert.ok(!isTensor({ data: new Float32Array(2), shape: new Float32Array(2) }));
});

test('nested shapes are found, and ragged ones have none', () => {
  assert.deepEqual(nestedShape([[1, 2, 3], [4, 5, 6]]), [2, 3]);
  assert.deepEqual(nestedShape(5), []);
  assert.deepEqual(nestedShape([[], []]), [2, 0]);
  for (const ragged of [[[1], [1, 2]], [1, [2]], [[1], 2]]) assert.equal(nestedShape(ragged), undefined);
});
