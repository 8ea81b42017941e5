// loadModel(): from an address and options to a model that is verified and ready to run.

import { didYouMean, NeurenixError, throwIfAborted } from './errors.js';
import { fetchVerified } from './fetching.js';
import { checkEntry, parseManifest } from './manifest.js';
import { Model } from './model.js';
import { checkOptions } from './options.js';
import { Placement } from './placement.js';
import { describe } from './tensor.js';

/** @import { BundleFile, Manifest } from './internal.js' */
/** @import { Entry, LoadOptions } from './types.js' */

const DEVICES = ['auto', 'webgpu', 'wasm'];
/** @type {Record<keyof LoadOptions, string>} */
const OPTIONS = {
  device: 'string', deadline: 'number', onFallback: 'function', threads: 'number', worker: 'boolean',
  onProgress: 'function', signal: 'object', fetch: 'function', strict: 'boolean',
};
const told = /** @type {any} */ (globalThis)[Symbol.for('neurenix.threads.1')] ??= { noticed: false };

/**
 * Load the model that NAME.js describes.
 * @param {Entry} entry
 * @param {string | URL} [path] the bundle's folder, relative to the page; NAME.js's own when left out
 * @param {LoadOptions} [options]
 * @returns {Promise<Model>}
 */
export async function load(entry, path, options = {}) {
  checkEntry(entry);
  checkOptions(options, OPTIONS, "loadModel(path, { device: 'auto' })");
  checkValues(options);
  throwIfAborted(options.signal);
  const transfer = new AbortController(); // ends the other downloads when one fails
  const stop = () => transfer.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', stop);
  const source = {
    folder: resolveFolder(entry.url, path),
    fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
    signal: transfer.signal,
  };
  try {
    // On its way while the manifest is: who needs it imports it again, and hears what is wrong with it.
    if (options.device === 'webgpu') import('./webgpu.js').catch(() => {});
    const { file, size, sha256 } = entry.manifest;
    const manifest = parseManifest(await fetchVerified({ name: file, size, sha256 }, source), file);
    acceptThreads(manifest, options);
    const placement = new Placement(manifest, options);
    await placement.load({ ...source, onBytes: reportTo(options.onProgress, placement.files) });
    return new Model(manifest, placement);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    transfer.abort();
  }
}

/** @param {LoadOptions} options */
function checkValues(options) {
  const { device = 'auto', threads = 1, worker = false, deadline = 1 } = options;
  if (!DEVICES.includes(device)) {
    throw new NeurenixError('bad_input',
      `options.device is '${device}'. ${didYouMean(String(device), DEVICES)}`);
  }
  if (!(deadline > 0)) {
    throw new NeurenixError('bad_input', `options.deadline is ${deadline}; it must be a number of milliseconds.`);
  }
  if (worker) {
    throw new NeurenixError('unsupported',
      'Running in a worker of its own arrives in a later version. Leave out options.worker.');
  }
  if (!Number.isInteger(threads) || threads < 1) {
    throw new NeurenixError('bad_input',
      `options.threads is ${threads}; it must be a whole number of at least 1.`);
  }
}

/**
 * This version has one thread: say so, once a page, or refuse when `strict` and the page asks for more.
 * @param {Manifest} manifest
 * @param {LoadOptions} options
 */
function acceptThreads({ name, wantsThreads }, { threads, strict = false }) {
  if (threads === undefined ? !wantsThreads : threads === 1) return;
  const reason = `'${name}' asks for threads, and runs on one: this version has no more.`;
  if (strict && threads !== undefined) {
    throw new NeurenixError('unsupported', `${reason} Load it with threads: 1, or without strict.`);
  }
  if (!told.noticed) console.info(`neurenix: ${reason} The answers are the same.`);
  told.noticed = true;
}

/**
 * @param {string} url the address of NAME.js
 * @param {string | URL} [path]
 */
function resolveFolder(url, path) {
  if (path === undefined || path === null) return new URL('.', url);
  if (typeof path !== 'string' && !(path instanceof URL)) {
    throw new NeurenixError('bad_input', `The path is a text or a URL: loadModel(path, options), not ${describe(path)}.`);
  }
  const page = globalThis.document?.baseURI ?? globalThis.location?.href;
  let folder;
  try {
    folder = new URL(path, page);
  } catch (cause) {
    throw new NeurenixError('bad_input',
      `'${path}' is no address of a folder. Outside of a page it must be absolute.`, { cause });
  }
  if (!folder.pathname.endsWith('/')) folder.pathname += '/';
  return folder;
}

/**
 * @param {LoadOptions['onProgress']} onProgress
 * @param {readonly BundleFile[]} files
 */
function reportTo(onProgress, files) {
  if (!onProgress) return undefined;
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const parts = new Map(files.map(({ name }) => [name, 0]));
  return (/** @type {string} */ file, /** @type {number} */ bytes) => {
    parts.set(file, bytes);
    const loaded = [...parts.values()].reduce((sum, part) => sum + part, 0);
    onProgress({ loaded, total, file });
  };
}
