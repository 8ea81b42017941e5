// The dispatch table of a manifest: what fits is read, what does not is named before a GPU sees it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { widen } from '../../templates/runtime/neurenix.runtime/gpu-tensor.js';
import { parseManifest } from '../../templates/runtime/neurenix.runtime/manifest.js';
import { readTable } from '../../templates/runtime/neurenix.runtime/webgpu-table.js';
import { toWords, wordsOf } from '../../templates/runtime/neurenix.runtime/webgpu-values.js';

const sha256 = '0'.repeat(64);

/** A manifest of `output = shader(input, w)`, changed by `change`. */
function manifest(change = () => {}) {
  const json = {
    format: 1, name: 'm', abi: 1,
    inputs: [{ name: 'input', dtype: 'float32', shape: ['n', 10], offset: 0 }],
    outputs: [{ name: 'output', dtype: 'int64', shape: ['n'], offset: 320 }],
    dims: [{ name: 'n', min: 1, max: 8 }],
    memory: { base: 131072, weights: 64, arena: 384, pages: 3 },
    tensors: [{ name: 'w', dtype: 'int64', shape: [8], layout: 'rows', offset: 0, size: 64 }],
    weights: ['m.bin'],
    variants: [{ name: 'scalar', file: 'm.wasm' }],
    files: { 'm.bin': { size: 64, sha256 }, 'm.wasm': { size: 1, sha256 }, 'm.wgsl': { size: 30, sha256 } },
    golden: [],
    webgpu: {
      file: 'm.wgsl', limits: { maxBufferSize: 2 ** 29 }, buffers: [{ size: 256 }, { size: 512 }, { size: 256 }],
      regions: {
        w: { buffer: 0, offset: 0, size: 256, type: 'i32' }, input: { buffer: 1, offset: 0, size: 512, type: 'f32' },
        output: { buffer: 2, offset: 0, size: 256, type: 'i32' },
      },
      paramsSize: 256,
      shaders: [{ name: 'nx_one', from: 0, to: 30, bindings: ['read', 'read', 'write'], params: 1 }],
      dispatches: [{
        shader: 0, bindings: ['input', 'w', 'output'], params: [['+', 'n', -1]], at: 0, groups: ['//', 'n', 4],
        op: 'one', scope: '',
      }],
      flops: 1, auto: false,
    },
  };
  change(json.webgpu, json);
  return parseManifest(new TextEncoder().encode(JSON.stringify(json)), 'm.json');
}

test('a table that fits is read', () => {
  const { file, limits, buffers, dispatches, shaders, tensors } = readTable(manifest());
  assert.deepEqual([file.name, limits, buffers], ['m.wgsl', { maxBufferSize: 2 ** 29 }, [256, 512, 256]]);
  assert.deepEqual(dispatches[0].bindings.map(({ buffer }) => buffer), [1, 0, 2]);
  assert.deepEqual([dispatches[0].params, shaders[0].name, tensors[0].size], [[['+', 'n', -1]], 'nx_one', 64]);
});

test('a param may be below 0: strides that walk backwards are', () => {
  const { dispatches } = readTable(manifest((table) => { table.dispatches[0].params[0] = -12; }));
  assert.deepEqual(dispatches[0].params, [-12]);
});

const HOSTILE = {
  'an unlisted file': (t) => { t.file = 'other.wgsl'; },
  'a file elsewhere': (t) => { t.file = '../m.wgsl'; },
  'an unknown limit': (t) => { t.limits.evil = 1; },
  'a limit that is none': (t) => { t.limits.maxBufferSize = -1; },
  'a buffer of no size': (t) => { t.buffers[0].size = 0; },
  'a buffer off the grid': (t) => { t.buffers[0].size = 255; },
  'a region in no buffer': (t) => { t.regions.w.buffer = 3; },
  'a region outside': (t) => { t.regions.input.offset = 256; },
  'a region off the grid': (t) => { t.regions.input.size = 4; t.regions.input.offset = 4; },
  'a region too small': (t) => { t.regions.input.size = 4; },
  'a region of another type': (t) => { t.regions.output.type = 'f32'; },
  'a region that is missing': (t) => { delete t.regions.w; },
  'a text that is not all': (t) => { t.shaders[0].to = 29; },
  'a text for subgroups on another': (t) => { t.shaders[0].subgroups = { from: 20, to: 30 }; },
  'a text for subgroups outside': (t) => { t.shaders[0].subgroups = { from: 30, to: 40 }; },
  'a text for subgroups behind a gap': (t) => { t.shaders[0].to = 10; t.shaders[0].subgroups = { from: 20, to: 30 }; },
  'an empty text for subgroups': (t) => { t.shaders[0].subgroups = { from: 30, to: 30 }; },
  'a text for subgroups that is none': (t) => { t.shaders[0].subgroups = null; },
  'an access that is none': (t) => { t.shaders[0].bindings[0] = 'both'; },
  'many params': (t) => { t.shaders[0].params = 1e6; },
  'an unknown shader': (t) => { t.dispatches[0].shader = 1; },
  'an unknown binding': (t) => { t.dispatches[0].bindings[0] = 'ghost'; },
  'a binding too few': (t) => { t.dispatches[0].bindings.pop(); },
  'a param too many': (t) => { t.dispatches[0].params.push(1); },
  'a param of an unknown dim': (t) => { t.dispatches[0].params[0] = 'm'; },
  'params outside': (t) => { t.dispatches[0].at = 256; },
  'a param with a fraction': (t) => { t.dispatches[0].params[0] = 0.5; },
  'groups that are none': (t) => { t.dispatches[0].groups = -1; },
  'a parameter outside': (t, m) => { m.tensors[0].offset = 64; },
  'a dtype without shaders': (t, m) => { m.inputs[0].dtype = 'float64'; },
  'ends of no input': (t, m) => { whole(t, m); t.inputs = { output: [0, 1] }; },
  'ends of floats': (t) => { t.inputs = { input: [0, 1] }; },
  'ends that are none': (t, m) => { whole(t, m); t.inputs = { input: 7 }; },
  'one end': (t, m) => { whole(t, m); t.inputs = { input: [0] }; },
  'three ends': (t, m) => { whole(t, m); t.inputs = { input: [0, 1, 2] }; },
  'ends beyond 32 bits': (t, m) => { whole(t, m); t.inputs = { input: [0, 2 ** 31] }; },
  'ends with a fraction': (t, m) => { whole(t, m); t.inputs = { input: [0.5, 1] }; },
  'ends the wrong way round': (t, m) => { whole(t, m); t.inputs = { input: [1, 0] }; },
};

/** Make the manifest's input one of int32. */
function whole(table, json) {
  json.inputs[0].dtype = 'int32';
  table.regions.input.type = 'i32';
}

test('the ends of whole inputs are read, and an input without any has those of 32 bits', () => {
  assert.deepEqual([...readTable(manifest()).ends], []);
  const { ends } = readTable(manifest((t, m) => { whole(t, m); t.inputs = { input: [-(2 ** 31), 9] }; }));
  assert.deepEqual([...ends], [['input', [-(2 ** 31), 9]]]);
});

for (const [name, change] of Object.entries(HOSTILE)) {
  test(`${name} is refused`, () => {
    assert.throws(() => readTable(manifest(change)), { code: 'bad_bundle' });
  });
}

test('whole numbers become 32 bits, or are for WebAssembly', () => {
  const port = { name: 'ids' };
  assert.deepEqual(toWords(BigInt64Array.of(-1n, 2n ** 31n - 1n), port), Int32Array.of(-1, 2 ** 31 - 1));
  assert.deepEqual(toWords(Uint8Array.of(0, 255), port), Int32Array.of(0, 255));
  for (const wide of [BigInt64Array.of(2n ** 31n), Uint32Array.of(2 ** 32 - 1), BigInt64Array.of(-(2n ** 40n))]) {
    assert.throws(() => toWords(wide, port), { code: 'unsupported', message: /'ids'/ });
  }
});

test('whole numbers beyond their ends are for WebAssembly', () => {
  const port = { name: 'ids', dtype: 'int64' };
  const words = (...values) => toWords(BigInt64Array.from(values, BigInt), port, undefined, [-4, 3]);
  assert.deepEqual(words(-4, 0, 3), Int32Array.of(-4, 0, 3));
  for (const value of [-5, 4, 2 ** 40]) {
    assert.throws(() => words(0, value), { code: 'unsupported', message: new RegExp(`'ids' holds ${value};`) });
  }
});

test('a float16 is the float32 of its value, and its bits again', () => {
  const values = Float32Array.of(0, -0, 2 ** -24, 1, -65504, Infinity, NaN);
  const bits = Uint16Array.of(0, 0x8000, 1, 0x3c00, 0xfbff, 0x7c00, 0x7e00);
  const bytes = new Uint8Array(64);
  new Uint16Array(bytes.buffer, 8).set(bits);
  const had = globalThis.Float16Array;
  for (const Half of [had, undefined]) { // with the engine's own, and without
    try {
      globalThis.Float16Array = Half;
      assert.deepEqual(toWords(bits, { name: 'x', dtype: 'float16' }), values);
      assert.deepEqual(wordsOf(bytes, 'float16', 8, 14), values);
      assert.deepEqual(widen(new Uint8Array(values.slice().buffer), 'float16'), bits);
    } finally {
      globalThis.Float16Array = had;
    }
  }
});

test('parameters of every dtype are read where they lie', () => {
  const bytes = new Uint8Array(64);
  new BigInt64Array(bytes.buffer, 8, 2).set([5n, -7n]);
  assert.deepEqual(wordsOf(bytes, 'int64', 8, 16), Int32Array.of(5, -7));
  new Int16Array(bytes.buffer, 32, 3).set([1, -2, 3]);
  assert.deepEqual(wordsOf(bytes, 'int16', 32, 6), Int32Array.of(1, -2, 3));
  bytes.set([1, 0, 255], 40);
  assert.deepEqual(wordsOf(bytes, 'bool', 40, 2), Int32Array.of(1, 0));
  assert.deepEqual(wordsOf(bytes, 'uint8', 40, 3), Int32Array.of(1, 0, 255));
  assert.deepEqual(wordsOf(bytes, 'float32', 0, 0), new Float32Array(0));
});
