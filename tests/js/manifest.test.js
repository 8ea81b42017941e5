// The manifest: what is read of it, and the table of what is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { arenaStart, checkEntry, parseManifest } from '../../templates/runtime/neurenix.runtime/manifest.js';

const sha256 = 'a'.repeat(64);
const good = {
  format: 1, generator: 'test', name: 'm', abi: 2 ** 32 - 1, device: 'auto',
  inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', 4], offset: 0 }],
  outputs: [{ name: 'y', dtype: 'float32', shape: ['batch', ['+', 1, 1]], offset: 128 }],
  dims: [{ name: 'batch', min: 1, max: 8 }],
  memory: { base: 1024, weights: 100, arena: 192, pages: 1 },
  weights: ['m.bin'],
  variants: [{ name: 'scalar', file: 'm.scalar.wasm' }],
  files: { 'm.bin': { size: 100, sha256 }, 'm.scalar.wasm': { size: 9, sha256 } },
  later: 'keys that nobody knows yet are ignored',
};
const parse = (json) => parseManifest(new TextEncoder().encode(typeof json === 'string' ? json : JSON.stringify(json)), 'm.json');

test('a manifest is read, frozen and without the keys that the runtime does not use', () => {
  const manifest = parse(good);
  assert.deepEqual(manifest.weights, [{ name: 'm.bin', size: 100, sha256 }]);
  assert.deepEqual([manifest.labels, manifest.layers, manifest.golden], [null, [], []]);
  assert.ok(Object.isFrozen(manifest.inputs[0].shape));
  assert.ok(!('later' in manifest));
  assert.equal(arenaStart(manifest.memory), 1152);
});

const file = (change) => ({ files: { ...good.files, 'm.bin': { ...good.files['m.bin'], ...change } } });
const memory = (change) => ({ memory: { ...good.memory, ...change } });
const input = (change) => ({ inputs: [{ ...good.inputs[0], ...change }] });
const lengths = (...found) => ({ outputs: [{ ...good.outputs[0], lengths: found }] });
const refused = [
  ['a path for a file', { weights: ['../m.bin'] }, /'weights\[0\]' is no file name/],
  ['another origin for a file', { weights: ['//example.org/m.bin'] }, /is no file name/],
  ['a file that is not listed', { weights: ['n.bin'] }, /'n.bin', which is not in 'files'/],
  ['a file of the prototype', { weights: ['constructor'] }, /not in 'files'/],
  ['a negative size', file({ size: -1 }), /size.*-1/],
  ['a size that is no integer', file({ size: 1e300 }), /size/],
  ['a hash that is none', file({ sha256: 'A'.repeat(64) }), /64 hex digits/],
  ['weights of another size than their files', memory({ weights: 99 }), /files hold 100 bytes/],
  ['too few pages', memory({ base: 65500 }), /'memory.pages'/],
  ['too many pages', memory({ pages: 65537 }), /65537/],
  ['an input beyond the arena', input({ offset: 100 }), /'x' does not fit/],
  ['an input between two floats', input({ offset: 2 }), /'x' does not fit/],
  ['a length beyond the arena', lengths({ axis: 0, name: 'n', offset: 192 }), /'y' does not fit at 192 to 200/],
  ['a length between two integers', lengths({ axis: 0, name: 'n', offset: 12 }), /'y' does not fit/],
  ['a length of an axis that is not there', lengths({ axis: 2, name: 'n', offset: 0 }), /'y' has no axis 2/],
  ['a negative axis of a length', lengths({ axis: -1, name: 'n', offset: 0 }), /'outputs\[0\].lengths\[0\].axis'/],
  ['lengths that are no list', { outputs: [{ ...good.outputs[0], lengths: 1 }] }, /'outputs\[0\].lengths' is no list/],
  ['an unknown dtype', input({ dtype: 'toString' }), /toString/],
  ['an unknown dim', input({ shape: ['length'] }), /'inputs\[0\].shape\[0\]'/],
  ['an unknown operator', input({ shape: [['-', 1, 1]] }), /expression/],
  ['an endless expression', input({ shape: [Array.from({ length: 50 }).reduce((size) => ['+', size, 1], 1)] }), /expression/],
  ['an expression that is no number', input({ shape: [['//', 0, 0]] }), /does not fit/],
  ['no variants', { variants: [] }, /at least 1/],
  ['no inputs', { inputs: {} }, /'inputs' is no list/],
  ['dims that end before they begin', { dims: [{ name: 'batch', min: 3, max: 2 }] }, /'dims\[0\].max'/],
  ['an abi that is no 32-bit number', { abi: -1 }, /'abi'/],
  ['a golden case without a dim', { golden: [{ dims: {}, inputs: {}, outputs: {}, tolerance: 0 }] }, /'golden\[0\].dims.batch'/],
];
for (const [what, change, message] of refused) {
  test(`${what} is refused`, () => assert.throws(() => parse({ ...good, ...change }), { code: 'bad_bundle', message }));
}

test('what is no JSON object is refused', () => {
  for (const text of ['', '{', '[NaN]']) assert.throws(() => parse(text), { code: 'bad_bundle' });
  for (const text of ['null', '[]', '1', '{}']) assert.throws(() => parse(text), { code: 'bad_version' });
});

test('every missing key is a typed error', () => {
  for (const key of ['name', 'abi', 'inputs', 'outputs', 'dims', 'memory', 'weights', 'variants', 'files']) {
    const rest = { ...good };
    delete rest[key];
    assert.throws(() => parse(rest), { code: 'bad_bundle', message: new RegExp(`'${key}`) }, key);
  }
});

test('an entry of another format, or with a huge manifest, is refused before anything is fetched', () => {
  const entry = { name: 'm', format: 1, url: 'http://localhost/m.js', manifest: { file: 'm.json', size: 10, sha256 } };
  checkEntry(entry);
  assert.throws(() => checkEntry({ ...entry, format: 2 }), { code: 'bad_version', message: /format 2/ });
  assert.throws(() => checkEntry({ ...entry, manifest: { ...entry.manifest, size: 2 ** 30 } }), { code: 'bad_bundle' });
});
