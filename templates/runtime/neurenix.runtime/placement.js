// Placement: the backends of a model. A GPU answers once it has proved itself, and is left when it fails.

import { chooseDevice } from './device-choice.js';
import { NeurenixError, throwIfAborted } from './errors.js';
import { chooseVariant } from './features.js';
import { fetchAll } from './fetching.js';
import { fetchValues } from './gpu-tensor.js';
import { prove } from './golden.js';
import { readFile } from './manifest.js';
import { WasmBackend } from './wasm.js';

/** @import { Call, Manifest, OnGpu, Source } from './internal.js' */
/** @import { LoadOptions, TypedArray } from './types.js' */
/** @import { WebGPUBackend } from './webgpu.js' */

/** How long a GPU may take for one call, or for compiling. */
export const DEADLINE_MS = 60_000;

// Errors of a GPU, and not of what it was asked: a fresh device may do better, and WebAssembly will.
const FAILURES = ['run_failed', 'device_unavailable', 'compile_failed', 'verification_failed', 'out_of_memory'];

export class Placement {
  #manifest;
  #options;
  #first;
  /** @type {Source | null} */
  #later = null;
  /** @type {Promise<WasmBackend> | null} */
  #wasm = null;
  /** @type {WasmBackend | null} */
  #loaded = null;
  /** @type {WebGPUBackend | null} */
  #gpu = null;
  #disposed = false;
  #recoveries = 0;
  /** @type {Promise<'webgpu' | 'wasm'>} */
  settled = Promise.resolve('wasm');

  /**
   * Decide where the model begins, or refuse what cannot be met.
   * @param {Manifest} manifest
   * @param {LoadOptions} options
   */
  constructor(manifest, options) {
    this.#manifest = manifest;
    this.#options = options;
    const { first, shortfall } = chooseDevice(manifest, options);
    this.#first = first;
    if (shortfall) this.#tell(shortfall);
  }

  /** What `load()` fetches. */
  get files() {
    const { webgpu, root, weights, variants } = this.#manifest;
    if (this.#first !== 'webgpu' || !webgpu) return [chooseVariant(variants).file, ...weights];
    return [readFile(webgpu.get('file'), root.get('files')), ...weights];
  }

  /** @param {Source} source */
  async load(source) {
    // What comes after the load is no part of it: its signal is spent, and nobody watches its progress.
    const later = this.#later = { folder: source.folder, fetch: source.fetch };
    try {
      if (this.#first === 'webgpu') {
        this.#gpu = await this.#startGpu(source);
        this.settled = Promise.resolve('webgpu');
      } else {
        const wasm = this.#takeWasm(source);
        if (this.#first === 'both') this.settled = this.#join(later);
        await wasm;
      }
      throwIfAborted(source.signal);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  get device() {
    return this.#gpu ? this.#gpu.device : 'wasm';
  }

  get variant() {
    return (this.#gpu ?? this.#loaded)?.variant ?? 'none';
  }

  get threads() {
    return 1;
  }

  /** How far answers may be off where they come from, if that is more than the golden cases allow. */
  get tolerance() {
    return this.#gpu?.tolerance ?? 0;
  }

  /** What a GPU holds of the model, or null where none answers. */
  get gpu() {
    return this.#gpu && Object.freeze({ ...this.#gpu.stats, recoveries: this.#recoveries });
  }

  /**
   * One forward pass, wherever it can be had.
   * @param {Call} call
   * @param {boolean} [keep]
   */
  async run(call, keep) {
    const only = this.#first === 'webgpu' && this.#options.strict;
    const gpu = this.#gpu ?? (only ? await this.#startGpu(this.#later) : null);
    if (!gpu) return this.#onWasm(call);
    this.#gpu = gpu;
    try {
      return await gpu.run(call, keep);
    } catch (error) {
      const { code } = /** @type {NeurenixError} */ (error);
      if (this.#disposed) throw disposed(this.#manifest.name);
      if (code === 'unsupported' && !only) { // this call, and not the next
        this.#tell(error);
        return this.#onWasm(call);
      }
      if (!FAILURES.includes(code)) throw error;
      return this.#again(call, keep, /** @type {NeurenixError} */ (error));
    }
  }

  dispose() {
    this.#disposed = true;
    this.#gpu?.dispose();
    this.#gpu = this.#wasm = this.#loaded = null;
  }

  /**
   * Prepare the GPU while WebAssembly answers, and change over once it has proved itself.
   * @param {Source} source
   */
  async #join(source) {
    try {
      const gpu = await this.#startGpu(source);
      if (this.#disposed) gpu.dispose();
      else this.#gpu = gpu;
    } catch (error) {
      if (!this.#disposed) this.#tell(error);
    }
    return this.device;
  }

  /**
   * A backend on a GPU, compiled, and held to the golden answers.
   * @param {Source | null} from
   */
  async #startGpu(from) {
    const source = /** @type {Source} */ (from);
    const { WebGPUBackend } = await import('./webgpu.js');
    return WebGPUBackend.load(this.#manifest, source, {
      weights: () => this.#weights(source),
      prove: (made) => prove(made, this.#manifest),
      deadline: this.#options.deadline ?? DEADLINE_MS,
      software: this.#options.device === 'webgpu',
    });
  }

  /**
   * The GPU failed: a fresh device once, and then WebAssembly. Whoever called gets the answer either way.
   * @param {Call} call
   * @param {boolean | undefined} keep
   * @param {NeurenixError} failure
   */
  async #again(call, keep, failure) {
    const lost = this.#gpu?.gpuDevice ?? null;
    this.#gpu?.dispose();
    this.#gpu = null;
    let fresh = null;
    try {
      fresh = await this.#startGpu(this.#later);
      const answer = await fresh.run(call, keep);
      if (this.#disposed) throw disposed(this.#manifest.name);
      this.#gpu = fresh;
      this.#recoveries += 1;
      return answer;
    } catch (error) {
      if (fresh && !this.#disposed) {
        try {
          await Promise.all(call.arrays.map((array) => here(array, lost)));
        } catch (gone) { // nothing could answer this call; the fresh device is for the next
          this.#gpu = fresh;
          this.#recoveries += 1;
          throw gone;
        }
      }
      fresh?.dispose();
      if (this.#disposed) throw disposed(this.#manifest.name);
      if (this.#first === 'webgpu' && this.#options.strict) throw error;
      this.#tell(failure);
      return this.#onWasm(call);
    }
  }

  /** @param {Call} call */
  async #onWasm({ dims, arrays }) {
    const wasm = await this.#takeWasm(this.#later);
    const values = await Promise.all(arrays.map((array) => here(array, this.#gpu?.gpuDevice ?? null)));
    return wasm.run({ dims, arrays: values });
  }

  /** @param {Source | null} source */
  #takeWasm(source) {
    this.#wasm ??= this.#loadWasm(/** @type {Source} */ (source));
    return this.#wasm;
  }

  /** @param {Source} source */
  async #loadWasm(source) {
    try {
      const wasm = await WasmBackend.load(this.#manifest, chooseVariant(this.#manifest.variants), source);
      if (!this.#disposed) this.#loaded = wasm;
      return wasm;
    } catch (error) {
      this.#wasm = null; // the next call may find the network again
      throw error;
    }
  }

  /**
   * The weights, verified: those that WebAssembly has, or its own.
   * @param {Source} source
   */
  async #weights(source) {
    if (this.#wasm) return (await this.#wasm).weights();
    const { weights, memory } = this.#manifest;
    return fetchAll(weights, source, new Uint8Array(memory.weights));
  }

  /**
   * Say why the GPU does not answer. What the page's callback throws is the page's own error.
   * @param {unknown} reason
   */
  #tell(reason) {
    const { onFallback } = this.#options;
    if (onFallback) queueMicrotask(() => onFallback(/** @type {NeurenixError} */ (reason)));
  }
}

/**
 * An input's values, fetched when they lie on a GPU.
 * @param {TypedArray | OnGpu} array
 * @param {GPUDevice | null} device
 * @returns {TypedArray | Promise<TypedArray>}
 */
function here(array, device) {
  return ArrayBuffer.isView(array) ? array : fetchValues(array, device);
}

/** @param {string} name */
function disposed(name) {
  return new NeurenixError('disposed', `The model '${name}' was disposed of. Load it again.`);
}
