// What the generated pages compute without a document: how an input may be given, and pixels to values and back.

import assert from 'node:assert/strict';
import test from 'node:test';

import { invert, SCALINGS, toPixels, toValues } from '../../templates/demo/demo/picture.js';
import { repeated, signature, Sizes } from '../../templates/demo/demo/sizes.js';
import { firstFill, pictureLayout, tableColumns, vocabularySize, waysToGive } from '../../templates/demo/demo/ways.js';

const DIMS = [
  { name: 'batch', min: 1, max: 32 },
  { name: 'time', min: 1, max: 16000 },
  { name: 'length', min: 1, max: 128 },
  { name: 'h', min: 32, max: 512 },
  { name: 'w', min: 32, max: 512 },
];

const WAYS = [
  ['float32', ['batch', 1, 28, 28], 'x', 'picture'],
  ['float32', ['batch', 3, 'h', 'w'], 'x', 'picture'],
  ['float16', ['batch', 'h', 'w', 3], 'x', 'picture'],
  ['uint8', [224, 224, 3], 'x', 'picture'],
  ['uint8', [4, 64, 48], 'x', 'picture'],
  ['float32', ['batch', 28, 28], 'x', 'picture'],
  ['float32', ['batch', 64, 28, 28], 'x', 'values'],
  ['float32', ['batch', 1, 4, 4], 'x', 'values'],
  ['float32', ['batch', 'length', 64], 'x', 'values'],
  ['int32', ['batch', 3, 28, 28], 'x', 'values'],
  ['float32', ['batch', 13], 'x', 'form'],
  ['float64', [2], 'x', 'form'],
  ['bool', ['batch', 5], 'x', 'form'],
  ['int64', ['batch', 4], 'x', 'form'],
  ['float32', [], 'x', 'form'],
  ['float32', [4, 13], 'x', 'values'],
  ['float32', ['batch', 100], 'x', 'values'],
  ['float32', ['batch', 16000], 'x', 'sound'],
  ['float32', ['batch', 'time'], 'x', 'sound'],
  ['float32', [1, 1, 'time'], 'x', 'sound'],
  ['float32', ['batch', 'length'], 'x', 'values'],
  ['int64', ['batch', 'length'], 'input_ids', 'tokens'],
  ['int32', ['length'], 'tokens', 'tokens'],
  ['int64', ['batch', 'length'], 'attention_mask', 'values'],
  ['int64', ['batch', 8], 'token_type_ids', 'values'],
];

for (const [dtype, shape, name, expected] of WAYS) {
  test(`${name}, a ${signature({ dtype, shape })}, is given as ${expected}`, () => {
    const ways = waysToGive({ name, dtype, shape }, new Sizes(DIMS));
    assert.equal(ways[0], expected);
    assert.equal(ways.at(-1), 'values');
  });
}

test('a picture keeps its pixels through every layout and scaling', () => {
  const rgba = Uint8ClampedArray.from({ length: 8 * 9 * 4 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256));
  for (const [channels, shape] of [[3, [1, 3, 8, 9]], [3, [1, 8, 9, 3]], [4, [8, 9, 4]], [1, [1, 1, 8, 9]]]) {
    const layout = pictureLayout({ dtype: 'float32', shape });
    for (const scaling of [SCALINGS.unit, SCALINGS.bytes]) {
      const values = toValues(rgba, channels, layout.channels > layout.width, scaling);
      const { rgba: again, rows, columns } = toPixels(values, shape, layout);
      assert.deepEqual([rows, columns], [8, 9]);
      for (let i = 0; i < rgba.length; i++) {
        const grey = Math.round(0.299 * rgba[i - (i % 4)] + 0.587 * rgba[i - (i % 4) + 1] + 0.114 * rgba[i - (i % 4) + 2]);
        const expected = channels === 1 && i % 4 < 3 ? grey : rgba[i];
        assert.ok(Math.abs(again[i] - expected) <= 1, `${shape} at ${i}: ${again[i]}, not ${expected}`);
      }
    }
  }
});

test('channels first and last hold the same values in their own order', () => {
  const rgba = Uint8ClampedArray.from([10, 20, 30, 255, 40, 50, 60, 255]);
  assert.deepEqual([...toValues(rgba, 3, false, SCALINGS.bytes)].map(Math.round), [10, 40, 20, 50, 30, 60]);
  assert.deepEqual([...toValues(rgba, 3, true, SCALINGS.bytes)].map(Math.round), [10, 20, 30, 40, 50, 60]);
});

test('white is the end of every scaling, and the one of ImageNet is by channel', () => {
  const white = Uint8ClampedArray.from([255, 255, 255, 255]);
  const ends = Object.values(SCALINGS).map((scaling) => [...toValues(white, 3, false, scaling)].map((v) => Number(v.toFixed(3))));
  assert.deepEqual(ends, [[1, 1, 1], [1, 1, 1], [255, 255, 255], [2.249, 2.429, 2.64]]);
});

test('inverting leaves opacity alone', () => {
  const rgba = Uint8ClampedArray.from([0, 100, 255, 40]);
  invert(rgba);
  assert.deepEqual([...rgba], [255, 155, 0, 40]);
});

test('an answer of one value everywhere is a picture too', () => {
  const { rgba } = toPixels(new Float32Array(64).fill(7000), [1, 8, 8], { channels: 0, height: 1, width: 2 });
  assert.ok(rgba.every(Number.isInteger));
});

test('columns are read only where the architecture fits the input', () => {
  const config = { features: ['<b>a</b>', 'b'], categories: [[], ['x', 'y']], ranges: [[1, 2], [0, 1]] };
  const layers = [{ name: 'features', type: 'TableFeatures', config, parameters: [] }];
  assert.deepEqual(tableColumns(layers, 2), [
    { name: '<b>a</b>', words: [], range: [1, 2] },
    { name: 'b', words: ['x', 'y'], range: [0, 1] },
  ]);
  assert.equal(tableColumns(layers, 3), null);
  assert.equal(tableColumns([{ ...layers[0], type: 'Linear' }], 2), null);
  const damaged = [{ ...layers[0], config: { features: [1, null], categories: 'none', ranges: [[1]] } }];
  assert.deepEqual(tableColumns(damaged, 2).map(({ range }) => range), [null, null]);
  assert.equal(vocabularySize([{ name: 'e', type: 'Embedding', config: { num_embeddings: 50 }, parameters: [] }]), 50);
  assert.equal(vocabularySize(layers), null);
});

test('a mask lets everything through at first', () => {
  const fills = ['attention_mask', 'token_type_ids', 'position_ids', 'x'].map((name) => firstFill({ name }));
  assert.deepEqual(fills, ['ones', 'zeros', 'count', 'random']);
});

test('sizes stay in their range, and tell when they change', () => {
  const sizes = new Sizes(DIMS);
  let changes = 0;
  const stop = sizes.listen(() => changes++);
  sizes.set('h', 9999);
  sizes.set('h', 512);
  assert.equal(sizes.get('h'), 512);
  assert.equal(sizes.evaluate(['//', ['*', 'h', 3], 4]), 384);
  assert.equal(changes, 1);
  stop();
  sizes.set('h', 40);
  assert.equal(changes, 1);
});

test('one sample fills a batch, and nothing else', () => {
  assert.deepEqual(repeated([1, 2], [2, 2]), [1, 2, 1, 2]);
  assert.throws(() => repeated([1, 2], [3]), { code: 'bad_input' });
});
