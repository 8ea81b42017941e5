// float16 and subgroups on a GPU: which shaders a device gets, what its parameters are, and tables that are refused.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { NeurenixError } from '../../templates/runtime/neurenix.runtime/errors.js';
import { fromHalf } from '../../templates/runtime/neurenix.runtime/half.js';
import { parseManifest } from '../../templates/runtime/neurenix.runtime/manifest.js';
import { WebGPUBackend } from '../../templates/runtime/neurenix.runtime/webgpu.js';
import { readTable } from '../../templates/runtime/neurenix.runtime/webgpu-table.js';
import { halvesOf } from '../../templates/runtime/neurenix.runtime/webgpu-values.js';

const TEXTS = { 'm.wgsl': 'shaders on f32', 'm.f16.wgsl': 'shaders on f16' };
const hash = (text) => ({ size: text.length, sha256: createHash('sha256').update(text).digest('hex') });

function table(file, type) {
  const region = (buffer, size, kind) => ({ buffer, offset: 0, size, type: kind });
  return {
    file, limits: {}, buffers: [{ size: 256 }, { size: 256 }, { size: 256 }], paramsSize: 256,
    regions: { x: region(0, 16, 'f32'), y: region(1, 16, 'f32'), w: region(2, type === 'f16' ? 8 : 16, type) },
    shaders: [{ name: 's', from: 0, to: TEXTS[file].length, bindings: ['read', 'read', 'write'], params: 0 }],
    dispatches: [{ shader: 0, bindings: ['x', 'w', 'y'], params: [], at: 0, groups: 1, op: 'map', scope: '' }],
    flops: 4, auto: false,
  };
}

function manifestOf(change = () => {}) {
  const webgpu = { ...table('m.wgsl', 'f32'), half: { ...table('m.f16.wgsl', 'f16'), tolerance: 0.01 } };
  change(webgpu);
  return parseManifest(new TextEncoder().encode(JSON.stringify({
    format: 1, generator: 'test', name: 'm', abi: 1, device: 'auto', dims: [],
    inputs: [{ name: 'x', dtype: 'float32', shape: [4], offset: 0 }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [4], offset: 64 }],
    memory: { base: 1024, weights: 12, arena: 192, pages: 1 },
    tensors: [{ name: 'w', dtype: 'float32', shape: [3], layout: 'rows', offset: 0, size: 12 }],
    weights: ['m.bin'], variants: [{ name: 'scalar', file: 'm.scalar.wasm' }], webgpu,
    files: {
      'm.bin': { size: 12, sha256: 'a'.repeat(64) }, 'm.scalar.wasm': { size: 9, sha256: 'a'.repeat(64) },
      'm.wgsl': hash(TEXTS['m.wgsl']), 'm.f16.wgsl': hash(TEXTS['m.f16.wgsl']),
    },
  })), 'm.json');
}

/** A GPU that writes down what it is given, and does none of it. */
function pretend(features) {
  const log = { codes: [], uploads: [], features: [] };
  const device = {
    features: new Set(features), limits: {}, lost: new Promise(() => {}), destroy() {},
    pushErrorScope() {}, popErrorScope: async () => null,
    createBindGroupLayout: () => ({}), createPipelineLayout: () => ({}), createBindGroup: () => ({}),
    createShaderModule: ({ code }) => log.codes.push(code),
    createComputePipelineAsync: async () => ({}),
    createBuffer: ({ size }) => ({ size, destroy() {} }),
    queue: { writeBuffer: (buffer, at, data) => log.uploads.push([at, data]) },
  };
  const adapter = {
    features: new Set([...features, 'timestamp-query']), limits: {}, info: { vendor: 'test' },
    requestDevice: async ({ requiredFeatures }) => (log.features.push(...requiredFeatures), device),
  };
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: { requestAdapter: async () => adapter } }, configurable: true });
  Object.assign(globalThis, { GPUBufferUsage: {}, GPUShaderStage: {}, GPUMapMode: {} });
  globalThis[Symbol.for('neurenix.gpu.1')].held.length = 0;
  return log;
}

async function loaded(log, change = () => {}, prove = async () => {}) {
  const asked = [];
  const fetch = async (url) => {
    const name = String(url).split('/').pop();
    asked.push(name);
    return new Response(TEXTS[name]);
  };
  const weights = new Uint8Array(new Float32Array([1, -70000, 0.1]).buffer);
  const options = { weights: async () => weights, prove, deadline: 1000, software: true };
  const made = await WebGPUBackend.load(manifestOf(change), { folder: new URL('http://here/'), fetch }, options);
  return { made, asked, ...log };
}

test('a device with float16 gets its shaders, and parameters of 16 bits in whole words', async () => {
  const { made, asked, codes, uploads, features } = await loaded(pretend(['shader-f16']));
  assert.deepEqual([asked, codes, features], [['m.f16.wgsl'], ['shaders on f16'], ['shader-f16']]);
  assert.deepEqual([made.variant, made.tolerance], ['wgsl.f16', 0.01]);
  const [[at, data]] = uploads;
  assert.deepEqual([at, data.byteLength], [0, 8]);
  assert.deepEqual([...data].slice(0, 2).map(fromHalf), [1, -65504]);
  assert.ok(Math.abs(fromHalf(data[2]) - 0.1) < 1e-4);
});

test('a device without float16 gets the others', async () => {
  const { made, asked, codes, uploads, features } = await loaded(pretend([]));
  assert.deepEqual([asked, codes, features], [['m.wgsl'], ['shaders on f32'], []]);
  assert.deepEqual([made.variant, made.tolerance], ['wgsl', 0]);
  assert.deepEqual([...uploads[0][1]], [1, -70000, Math.fround(0.1)]);
});

/** The same shader, and another text for subgroups behind it. */
function widened(webgpu) {
  delete webgpu.half;
  Object.assign(webgpu.shaders[0], { to: 8, subgroups: { from: 8, to: 14 } });
}

test('a device with subgroups gets the texts for them, and no other does', async () => {
  const wide = await loaded(pretend(['subgroups']), widened);
  assert.deepEqual([wide.codes, wide.features, wide.made.stats.subgroups], [['on f32'], ['subgroups'], true]);
  const plain = await loaded(pretend([]), widened);
  assert.deepEqual([plain.codes, plain.features, plain.made.stats.subgroups], [['shaders '], [], false]);
  const alike = await loaded(pretend(['subgroups']), (webgpu) => { delete webgpu.half; });
  assert.deepEqual([alike.codes, alike.made.stats.subgroups], [['shaders on f32'], false]);
});

test('texts for subgroups that answer wrongly give way to the others, and no other failure is tried again', async () => {
  const failing = (code) => async (made) => {
    if (made.stats.subgroups) throw new NeurenixError(code, 'off');
  };
  const { made, codes } = await loaded(pretend(['subgroups']), widened, failing('verification_failed'));
  assert.deepEqual([codes, made.stats.subgroups], [['on f32', 'shaders '], false]);
  const log = pretend(['subgroups']);
  await assert.rejects(loaded(log, widened, failing('aborted')), { code: 'aborted' });
  assert.deepEqual(log.codes, ['on f32']);
});

test('an engine with an array of float16 gives the same bits', () => {
  const values = new Float32Array([0, -0, 1, 1e-7, 65504, 1e30, -Infinity, 0.333]);
  const plain = halvesOf(values);
  assert.deepEqual([...plain].slice(4, 7).map(fromHalf), [65504, 65504, -65504]);
  const had = globalThis.Float16Array;
  try {
    globalThis.Float16Array = undefined;
    assert.deepEqual([...halvesOf(values)], [...plain]);
  } finally {
    globalThis.Float16Array = had;
  }
});

const refused = [
  ['an input of float16', (t) => { t.half.regions.x.type = 'f16'; }, /no place for 'x'/],
  ['a parameter of float16 for devices that have none', (t) => { t.regions.w.type = 'f16'; }, /no place for 'w'/],
  ['a region too small for its parameter', (t) => { t.half.regions.w.size = 4; }, /no place for 'w'/],
  ['a type that is none', (t) => { t.half.regions.w.type = 'f8'; }, /neither f32, i32 nor f16/],
  ['a file that is not listed', (t) => { t.half.file = 'n.wgsl'; }, /'n.wgsl'/],
];
for (const [what, change, words] of refused) {
  test(`${what} is refused`, () => {
    assert.throws(() => readTable(manifestOf(change)), words);
  });
}
