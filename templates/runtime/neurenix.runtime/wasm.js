// The WebAssembly backend: one instance over one memory of fixed size, which is also where the weights lie.

import { evaluateShape } from './dims.js';
import { NeurenixError } from './errors.js';
import { mayCompile } from './features.js';
import { fetchAll, fetchVerified } from './fetching.js';
import { sha256 } from './integrity.js';
import { cut } from './lengths.js';
import { arenaStart, PAGE } from './manifest.js';
import { ARRAYS, product, Tensor } from './tensor.js';

/** @import { Call, Manifest, Source, Variant } from './internal.js' */
/** @import { DType, TypedArray } from './types.js' */

export class WasmBackend {
  device = /** @type {const} */ ('wasm');
  threads = 1;
  #manifest;
  #source;
  #file;
  #memory;
  #module;
  /** @type {((...sizes: number[]) => number) | null} nx_run, or null after a trap */
  #run = null;

  /**
   * @param {Manifest} manifest
   * @param {Source} source
   * @param {{ memory: WebAssembly.Memory, module: WebAssembly.Module, variant: Variant }} parts
   */
  constructor(manifest, source, { memory, module, variant }) {
    this.variant = variant.name;
    this.#file = variant.file.name;
    this.#manifest = manifest;
    this.#source = source;
    this.#memory = memory;
    this.#module = module;
  }

  /**
   * Fetch the code and the weights, at the same time, and put them together.
   * @param {Manifest} manifest
   * @param {Variant} variant
   * @param {Source} source
   */
  static async load(manifest, variant, source) {
    const memory = createMemory(manifest.memory.pages);
    const [module] = await Promise.all([
      fetchVerified(variant.file, source).then((bytes) => compile(bytes, variant.file.name)),
      readWeights(manifest, memory, source),
    ]);
    const later = { folder: source.folder, fetch: source.fetch }; // a recovery is not part of this load
    const backend = new WasmBackend(manifest, later, { memory, module, variant });
    await backend.#instantiate();
    return backend;
  }

  /**
   * One forward pass: inputs in the order of the signature in, fresh tensors by output name out.
   * @param {Call} call
   */
  async run({ dims, arrays }) {
    const run = this.#run ?? await this.#recover();
    const { inputs, outputs, memory } = this.#manifest;
    const arena = arenaStart(memory);
    inputs.forEach(({ dtype, offset }, i) => {
      this.#view(dtype, arena + offset, arrays[i].length).set(/** @type {any} */ (arrays[i]));
    });
    const sizes = this.#manifest.dims.map(({ name }) => /** @type {number} */ (dims.get(name)));
    this.#call(run, 0, 1, memory.base, arena, ...sizes);
    const length = (/** @type {number} */ offset) => Number(this.#view('int64', arena + offset, 1)[0]);
    return Object.fromEntries(outputs.map((port) => {
      const largest = evaluateShape(port.shape, dims);
      const view = this.#view(port.dtype, arena + port.offset, product(largest));
      const { data, shape } = cut(port, view, largest, length);
      return [port.name, new Tensor(shape, data, port.dtype)];
    }));
  }

  /**
   * @param {(...sizes: number[]) => number} run
   * @param {...number} args
   */
  #call(run, ...args) {
    let status;
    try {
      status = run(...args);
    } catch (cause) {
      this.#run = null; // its stack pointer and its weights can no longer be trusted
      throw new NeurenixError('run_failed',
        `${this.#manifest.name} stopped inside WebAssembly. The next call starts afresh.`, { cause });
    }
    if (status !== 0) {
      throw new NeurenixError('run_failed',
        `${this.#manifest.name} gave up with status ${status} for these sizes.`);
    }
  }

  /** The weights where the kernels read them, verified; fetched again when something wrote over them. */
  async weights() {
    const { memory, weights } = this.#manifest;
    const bytes = new Uint8Array(this.#memory.buffer, memory.base, memory.weights);
    let at = 0;
    let intact = true;
    for (const { size, sha256: expected } of weights) {
      intact &&= (await sha256(bytes.subarray(at, at + size))) === expected;
      at += size;
    }
    if (!intact) await readWeights(this.#manifest, this.#memory, this.#source);
    return bytes;
  }

  /** After a trap: a cleared memory, weights that are verified again, and a new instance. */
  async #recover() {
    const weights = await this.weights();
    const bytes = new Uint8Array(this.#memory.buffer);
    bytes.fill(0, 0, weights.byteOffset);
    bytes.fill(0, weights.byteOffset + weights.byteLength);
    return this.#instantiate();
  }

  async #instantiate() {
    const { abi } = this.#manifest;
    const imports = { env: { memory: this.#memory } };
    const instance = await WebAssembly.instantiate(this.#module, imports).catch((cause) => {
      throw new NeurenixError('bad_bundle',
        `${this.#file} does not fit its manifest: ${cause.message}`, { cause });
    });
    const { nx_abi: plan, nx_run: run } = /** @type {Record<string, any>} */ (instance.exports);
    const found = typeof plan === 'function' && typeof run === 'function' ? plan() >>> 0 : 'none';
    if (found !== abi) {
      throw new NeurenixError('bad_bundle',
        `${this.#file} is for the plan ${found}, not ${abi}. Export the model again.`);
    }
    this.#run = run;
    return run;
  }

  /**
   * @param {DType} dtype
   * @param {number} at
   * @param {number} length
   * @returns {TypedArray}
   */
  #view(dtype, at, length) {
    return new ARRAYS[dtype](this.#memory.buffer, at, length);
  }
}

/** @param {number} pages */
function createMemory(pages) {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new NeurenixError('out_of_memory',
      `The model needs ${pages * PAGE} bytes of memory, more than it gets here. Export it with smaller dims.`, { cause });
  }
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} file
 */
async function compile(bytes, file) {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    if (await mayCompile()) {
      throw new NeurenixError('unsupported',
        `${file} does not compile in this browser.`, { cause });
    }
    throw new NeurenixError('unsupported',
      "The page's Content-Security-Policy forbids WebAssembly. Add 'wasm-unsafe-eval' to its script-src.", { cause });
  }
}

/**
 * Stream the weights straight to where the kernels read them.
 * @param {Manifest} manifest
 * @param {WebAssembly.Memory} memory
 * @param {Source} source
 */
async function readWeights({ memory: { base, weights: size }, weights }, memory, source) {
  await fetchAll(weights, source, new Uint8Array(memory.buffer, base, size));
}
