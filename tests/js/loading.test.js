// Loading in Node, from the disk and through a fetch of one's own. NEURENIX_TEST_BUNDLE is a tiny bundle.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { mock, test } from 'node:test';
import { pathToFileURL } from 'node:url';

const folder = pathToFileURL(`${process.env.NEURENIX_TEST_BUNDLE}/`);
const { loadModel, NeurenixError, Tensor } = await import(new URL('my_model.js', folder).href);
const { STALL_MS } = await import(new URL('neurenix.runtime/fetching.js', folder).href);

const ones = new Float32Array(10).fill(1);
const fromDisk = async (url) => new Response(await readFile(new URL(url)));

test('a model is loaded from its own folder, answers, and proves itself', async () => {
  const model = await loadModel();
  const { output } = await model.forward({ input: ones });
  assert.ok(output instanceof Tensor);
  assert.deepEqual(output.shape, [1, 10]);
  const { passed, maxError, cases } = await model.selfTest();
  assert.deepEqual([passed, cases.length, maxError < 1e-6], [true, 1, true]);
});

test('an address works as text and as a URL; one that leads nowhere is a missing file', async () => {
  for (const path of [folder, folder.href, folder.href.slice(0, -1)]) assert.equal((await loadModel(path)).name, 'my_model');
  await assert.rejects(loadModel(new URL('nowhere', folder)), { code: 'missing_file' });
  await assert.rejects(loadModel('webassembly_model'), { code: 'bad_input', message: /must be absolute/ });
});

test('options in the place of the path are noticed', async () => {
  await assert.rejects(loadModel({ device: 'wasm' }), { code: 'bad_input', message: /loadModel\(path, options\)/ });
});

const loaded = await loadModel();
const forward = (options) => loaded.forward(ones, options);
const unused = new AbortController().signal;
const mistaken = [
  ['loadModel', (options) => loadModel(undefined, options), { devise: 'wasm' }, /no option 'devise'.* Did you mean 'device'/],
  ['loadModel', (options) => loadModel(undefined, options), { device: 1 }, /options.device must be of type string, not the number 1/],
  ['loadModel', (options) => loadModel(undefined, options), null, /options are an object.*not null/],
  ['forward', forward, { kep: true }, /no option 'kep'.* Did you mean 'keep'/],
  ['forward', forward, { keep: 1 }, /options.keep must be of type boolean/],
  ['forward', forward, 3, /options are an object: forward\(inputs, \{ signal \}\), not the number 3/],
  ['forward', forward, unused, /no option 'aborted'/],
  ['forward', forward, ones, /no option '0'/],
  ['forward', forward, { constructor: 1 }, /no option 'constructor'/],
  ['selfTest', (options) => loaded.selfTest(options), { keep: true }, /no option 'keep'.* Expected 'signal'/],
  ['warmup', (options) => loaded.warmup(options), { keep: true }, /no option 'keep'.* Expected 'signal'/],
];
for (const [name, call, options, words] of mistaken) {
  test(`${name}() refuses options that it would ignore: ${words}`, async () => {
    await assert.rejects(call(options), { code: 'bad_input', message: words });
  });
}

test('options that are known, or undefined, are taken', async () => {
  for (const options of [undefined, {}, { signal: unused }, { signal: undefined, keep: true }]) {
    assert.deepEqual((await forward(options)).output.shape, [1, 10]);
  }
});

test('a fetch of one\'s own is used for every file', async () => {
  const files = [];
  const serve = (url, init) => {
    files.push(url.split('/').pop());
    assert.ok(init.signal instanceof AbortSignal);
    return fromDisk(new URL(url.split('/').pop(), folder));
  };
  const model = await loadModel('http://example.test/deep', { fetch: serve });
  assert.equal((await model.selfTest()).passed, true);
  assert.deepEqual(files.sort(), ['my_model.00.bin', 'my_model.01.bin', 'my_model.json', `my_model.${model.variant}.wasm`].sort());
});

test('a file that is wrong once is fetched again past the cache; twice is an error', async () => {
  const caches = [];
  const spoil = (times) => async (url, { cache }) => {
    const bytes = await readFile(new URL(url.split('/').pop(), folder));
    if (url.endsWith('.01.bin')) {
      caches.push(cache);
      if (times-- > 0) bytes[5] ^= 4;
    }
    return new Response(bytes);
  };
  await loadModel('http://example.test/', { fetch: spoil(1) });
  assert.deepEqual(caches, ['default', 'reload']);
  await assert.rejects(loadModel('http://example.test/', { fetch: spoil(2) }), { code: 'bad_integrity', message: /my_model.01.bin/ });
});

test('a silent server is given up after a while', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const loading = loadModel('http://example.test/', { fetch: () => new Promise(() => {}) });
    const outcome = assert.rejects(loading, { code: 'fetch_failed', message: /sent nothing for 30 seconds/ });
    await Promise.resolve();
    mock.timers.tick(STALL_MS);
    await outcome;
  } finally {
    mock.timers.reset();
  }
});

test('a failed file ends the other downloads', async () => {
  const ended = [];
  const serve = (url, { signal }) => {
    if (url.endsWith('.json')) return fromDisk(new URL('my_model.json', folder));
    if (url.endsWith('.wasm')) return Promise.resolve(new Response('', { status: 404 }));
    signal.addEventListener('abort', () => ended.push(url.split('/').pop()));
    return new Promise(() => {});
  };
  await assert.rejects(loadModel('http://example.test/', { fetch: serve }), { code: 'missing_file', message: /wasm/ });
  assert.deepEqual(ended.sort(), ['my_model.00.bin', 'my_model.01.bin']);
});

test('an abort during a load is typed, with the reason as its cause', async () => {
  const control = new AbortController();
  const loading = loadModel(undefined, { signal: control.signal });
  control.abort('enough');
  await assert.rejects(loading, (error) => error instanceof NeurenixError && error.code === 'aborted' && error.cause === 'enough');
});

test('an error that onProgress throws is the caller\'s own', async () => {
  const mine = new Error('mine');
  await assert.rejects(loadModel(undefined, { onProgress: () => { throw mine; } }), mine);
});
