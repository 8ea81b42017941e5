// float16: every bit pattern there and back, what lies between them, and tensors of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bindInputs } from '../../templates/runtime/neurenix.runtime/inputs.js';
import { fromHalf, toHalf } from '../../templates/runtime/neurenix.runtime/half.js';
import { Tensor } from '../../templates/runtime/neurenix.runtime/tensor.js';

const port = { name: 'x', dtype: 'float16', shape: ['n'], offset: 0 };
const signature = { inputs: [port], dims: [{ name: 'n', min: 0, max: 9 }] };

test('every float16 becomes a number and the same bits again', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromHalf(bits);
    if (!Number.isNaN(value)) assert.equal(toHalf(value), bits);
  }
});

test('numbers between two float16 go to the nearest, the even one of two', () => {
  for (let bits = 0; bits < 0x7c00; bits++) {
    const low = fromHalf(bits);
    const high = bits === 0x7bff ? 65536 : fromHalf(bits + 1);
    const middle = (low + high) / 2;
    assert.equal(toHalf(middle), bits % 2 ? bits + 1 : bits);
    assert.equal(toHalf(low + (high - low) * 0.49), bits);
    assert.equal(toHalf(-(low + (high - low) * 0.51)), 0x8000 | (bits + 1));
  }
  assert.equal(Number.isNaN(fromHalf(toHalf(NaN))), true);
});

test('a tensor of float16 holds bits and shows numbers', () => {
  const tensor = new Tensor([2], [1.5, -2], 'float16');
  assert.deepEqual(tensor.data, Uint16Array.of(0x3e00, 0xc000));
  assert.deepEqual(tensor.toArray(), [1.5, -2]);
  assert.equal(JSON.stringify(tensor), '[1.5,-2]');
});

test('a float16 input takes numbers, bits, and a Float16Array where there is one', () => {
  assert.deepEqual(bindInputs([0.5, 1], signature).arrays, [Uint16Array.of(0x3800, 0x3c00)]);
  assert.deepEqual(bindInputs(Uint16Array.of(0x3800), signature).arrays, [Uint16Array.of(0x3800)]);
  if (globalThis.Float16Array) {
    const half = globalThis.Float16Array.of(0.5);
    assert.deepEqual(bindInputs(half, signature).arrays, [Uint16Array.of(0x3800)]);
    assert.deepEqual([new Tensor([1], half).dtype, new Tensor([1], half).toArray()], ['float16', [0.5]]);
  }
  assert.throws(() => bindInputs(Float32Array.of(1), signature), { code: 'bad_input', message: /float16/ });
});

test('a dim that may be 0 takes an empty array, another does not', () => {
  assert.deepEqual([...bindInputs(new Uint16Array(0), signature).dims], [['n', 0]]);
  const filled = { ...signature, dims: [{ name: 'n', min: 1, max: 9 }] };
  assert.throws(() => bindInputs(new Uint16Array(0), filled), { code: 'bad_input', message: /not 0/ });
});
