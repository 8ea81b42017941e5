// Size expressions, and the dims that inputs imply.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { evaluate } from '../../templates/runtime/neurenix.runtime/dims.js';
import { bindInputs } from '../../templates/runtime/neurenix.runtime/inputs.js';
import { Tensor } from '../../templates/runtime/neurenix.runtime/tensor.js';

const port = (name, shape, dtype = 'float32') => ({ name, dtype, shape, offset: 0 });
const dim = (name, min = 1, max = 100) => ({ name, min, max });
const floats = (length) => new Float32Array(length);

test('size expressions evaluate', () => {
  const dims = new Map([['n', 7]]);
  const cases = [
    [3, 3], ['n', 7], [['+', ['*', 2, 'n'], 1], 15], [['//', ['+', 'n', 3], 4], 2],
    [['//', -1, 2], -1], [['max', 'n', 9], 9], [['min', 'n', 9], 7],
  ];
  for (const [size, expected] of cases) assert.equal(evaluate(size, dims), expected, JSON.stringify(size));
  assert.ok(Number.isNaN(evaluate(['+', 'm', 1], dims)));
});

test('a flat array leaves any one axis to its length', () => {
  const { dims } = bindInputs(floats(12), { inputs: [port('x', [1, 'length', 4])], dims: [dim('length')] });
  assert.deepEqual([...dims], [['length', 3]]);
});

test('a dim that one input fixes holds for the others', () => {
  const signature = { inputs: [port('flat', ['batch', 'length']), port('shaped', ['batch', 3])], dims: [dim('batch'), dim('length')] };
  const shaped = new Tensor([2, 3], floats(6));
  const { dims } = bindInputs({ flat: floats(10), shaped }, signature);
  assert.deepEqual(Object.fromEntries(dims), { batch: 2, length: 5 });
  assert.throws(() => bindInputs({ flat: floats(9), shaped }, signature), { code: 'bad_input', message: /'flat'.*multiple of 2/ });
});

test('two open axes need a tensor', () => {
  const signature = { inputs: [port('x', ['batch', 'length'])], dims: [dim('batch'), dim('length')] };
  assert.throws(() => bindInputs(floats(6), signature), { code: 'bad_input', message: /createTensor/ });
  assert.deepEqual(Object.fromEntries(bindInputs([[1, 2, 3], [4, 5, 6]], signature).dims), { batch: 2, length: 3 });
});

test('an input whose size is an expression is checked against it', () => {
  const signature = { inputs: [port('x', ['n']), port('y', [['*', 2, 'n']])], dims: [dim('n')] };
  assert.deepEqual([...bindInputs({ x: floats(3), y: floats(6) }, signature).dims], [['n', 3]]);
  assert.throws(() => bindInputs({ x: floats(3), y: floats(7) }, signature), { code: 'bad_input', message: /'y'.*\(2 \* n\).*must be 6/ });
});

test('a size outside of its range is bad_dims', () => {
  const signature = { inputs: [port('x', ['n'])], dims: [dim('n', 2, 4)] };
  for (const length of [1, 5]) assert.throws(() => bindInputs(floats(length), signature), { code: 'bad_dims', message: /2 to 4/ });
});

test('scalars, bytes of a canvas and 64-bit integers are taken', () => {
  assert.deepEqual(bindInputs(5, { inputs: [port('x', [])], dims: [] }).arrays, [Float32Array.of(5)]);
  const bytes = bindInputs(Uint8ClampedArray.of(1, 2), { inputs: [port('x', [2], 'uint8')], dims: [] }).arrays[0];
  assert.deepEqual([...bytes], [1, 2]);
  assert.deepEqual(bindInputs([1, 2n], { inputs: [port('x', [2], 'int64')], dims: [] }).arrays, [BigInt64Array.of(1n, 2n)]);
});

test('every missing input is named', () => {
  const signature = { inputs: [port('ids', ['n']), port('mask', ['n'])], dims: [dim('n')] };
  assert.throws(() => bindInputs({}, signature), { code: 'bad_input', message: /'ids', 'mask'/ });
  assert.throws(() => bindInputs(floats(3), signature), { code: 'bad_input', message: /object with the inputs 'ids', 'mask'/ });
});
