// The formula of golden inputs, against FORMAT.md in exact arithmetic, and the comparison of answers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Field } from '../../templates/runtime/neurenix.runtime/field.js';
import { goldenCall, goldenError, hash } from '../../templates/runtime/neurenix.runtime/golden.js';
import { Tensor } from '../../templates/runtime/neurenix.runtime/tensor.js';

/** FORMAT.md, line by line, in integers without a limit. */
function exactHash(i, seed) {
  const word = (x) => x % 2n ** 32n;
  let h = word(BigInt(i) * 2654435761n + BigInt(seed) * 2246822519n);
  h = word((h ^ (h >> 15n)) * 2246822519n);
  h = word((h ^ (h >> 13n)) * 3266489917n);
  return Number(h ^ (h >> 16n));
}

const golden = (inputs, outputs = {}) => ({
  dims: [['n', 3]], tolerance: 0, inputs: new Field('m.json', inputs), outputs: new Field('m.json', outputs),
});
const port = (dtype) => [{ name: 'x', dtype, shape: ['n', 2], offset: 0 }];

test('the hash is FORMAT.md\'s', () => {
  for (const seed of [0, 1, 7, 2 ** 31, 2 ** 32 - 1]) {
    for (const i of [0, 1, 2, 1000, 123_456_789]) assert.equal(hash(i, seed), exactHash(i, seed), `${i}, ${seed}`);
  }
});

test('inputs lie in their range, integers are rounded down, bytes are taken as they are', () => {
  const recipe = { x: { seed: 3, low: -4, high: 4 } };
  const [floats] = goldenCall(golden(recipe), port('float32')).arrays;
  const exact = Array.from({ length: 6 }, (_, i) => -4 + 8 * ((exactHash(i, 3) >>> 8) / 2 ** 24));
  assert.deepEqual(floats, Float32Array.from(exact));
  assert.deepEqual(goldenCall(golden(recipe), port('int32')).arrays[0], Int32Array.from(exact, Math.floor));
  assert.deepEqual(goldenCall(golden(recipe), port('int64')).arrays[0], BigInt64Array.from(exact, (x) => BigInt(Math.floor(x))));
  const data = Buffer.from(floats.buffer).toString('base64');
  assert.deepEqual(goldenCall(golden({ x: { data } }), port('float32')).arrays[0], floats);
});

test('bytes of another length are refused', () => {
  assert.throws(() => goldenCall(golden({ x: { data: 'AAAA' } }), port('float32')), { code: 'bad_bundle', message: /3 bytes, not 24/ });
});

test('the error is relative above 1 and absolute below, and NaN equals only NaN', () => {
  const compare = (answer, expected) => {
    const y = Buffer.from(Float32Array.from(expected).buffer).toString('base64');
    return goldenError(golden({}, { y }), { y: new Tensor([answer.length], Float32Array.from(answer)) });
  };
  assert.equal(compare([1, NaN, Infinity, -Infinity], [1, NaN, Infinity, -Infinity]), 0);
  assert.equal(compare([0.5, 110], [0.25, 100]), 0.25);
  assert.equal(compare([110], [100]), 0.1);
  for (const [answer, expected] of [[NaN, 1], [1, NaN], [Infinity, 1], [-Infinity, Infinity]]) {
    assert.equal(compare([answer], [expected]), Infinity, `${answer}, ${expected}`);
  }
});

test('an answer of another length is wrong, whatever its values', () => {
  const y = Buffer.from(new Float32Array(4).buffer).toString('base64');
  const outputs = [{ name: 'y', lengths: [{ axis: 1, offset: 0 }] }];
  const compare = (shape, lengths) => {
    const answers = { y: new Tensor(shape, new Float32Array(4)) };
    return goldenError({ ...golden({}, { y }), lengths: new Field('m.json', lengths) }, answers, outputs);
  };
  assert.equal(compare([2, 2], { y: [2] }), 0);
  assert.equal(compare([4, 1], { y: [2] }), Infinity);
  for (const wrong of [{}, { y: 2 }, { y: [-1] }]) assert.throws(() => compare([2, 2], wrong), { code: 'bad_bundle' });
});
