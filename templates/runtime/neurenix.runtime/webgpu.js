// The WebGPU backend: everything made once, one command buffer a call. Loaded only when a GPU is wanted.
//
// WebGPU answers an invalid shader or dispatch with zeros unless it is asked. So all work is inside error
// scopes, whose word is awaited before an answer is believed; a map that is refused means a lost device.

import { evaluateShape } from './dims.js';
import { NeurenixError } from './errors.js';
import { fetchVerified } from './fetching.js';
import { GpuTensor, message, widen } from './gpu-tensor.js';
import { cut } from './lengths.js';
import { product, Tensor } from './tensor.js';
import { Buffers } from './webgpu-buffers.js';
import { HALF, isLost, requestDevice, SUBGROUPS } from './webgpu-device.js';
import { Guard } from './webgpu-guard.js';
import { Pass } from './webgpu-pass.js';
import { bindGroupOf, layoutsOf, makePipeline } from './webgpu-pipelines.js';
import { blockSize, readTable } from './webgpu-table.js';
import { readable, toWords } from './webgpu-values.js';

/** @import { Call, HeldDevice, Manifest, OnGpu, ShaderTable, Source } from './internal.js' */
/** @import { DType, TypedArray } from './types.js' */

// How a GPU fails that is not what the shaders for subgroups take it for.
const UNFIT = ['compile_failed', 'verification_failed', 'run_failed'];

export class WebGPUBackend {
  device = /** @type {const} */ ('webgpu');
  variant;
  threads = 1;
  #manifest;
  #table;
  #subgroups;
  #held;
  #guard;
  #buffers;
  /** @type {Pass | null} there once its pipelines are */
  #pass = null;
  #calls = 0;

  /**
   * @param {Manifest} manifest
   * @param {ShaderTable} table
   * @param {HeldDevice} held
   * @param {number} deadline
   * @param {boolean} subgroups whether to take the texts for them, where the device has any
   */
  constructor(manifest, table, held, deadline, subgroups) {
    this.#manifest = manifest;
    this.#table = table;
    this.#subgroups = subgroups && hasSubgroups(table, held);
    this.variant = table.tolerance ? 'wgsl.f16' : 'wgsl';
    this.#held = held;
    this.#guard = new Guard(manifest.name, held, deadline);
    this.#buffers = new Buffers(held.device, table);
  }

  /**
   * Compile the shaders while the weights arrive, upload them, bind everything, and have it prove itself.
   * @param {Manifest} manifest
   * @param {Source} source
   * @param {{ weights: () => Promise<Uint8Array<ArrayBuffer>>, prove: (made: WebGPUBackend) => Promise<void>,
   *   deadline: number, software: boolean }} options
   */
  static async load(manifest, source, { weights, prove, deadline, software }) {
    const table = readTable(manifest);
    const first = requestDevice(table.limits, { software, deadline });
    const choose = (/** @type {HeldDevice} */ { device }) => {
      return table.half && device.features.has(HALF) ? table.half : table;
    };
    // Which shaders are wanted, the device says; where there are no others they are fetched meanwhile.
    const early = table.half ? null : fetchVerified(table.file, source);
    const [held] = await Promise.all([first, early]);
    /** @type {(on: HeldDevice, subgroups: boolean) => Promise<WebGPUBackend>} */
    const prepare = async (on, subgroups) => {
      const chosen = choose(on);
      const text = await (early ?? fetchVerified(chosen.file, source));
      return new WebGPUBackend(manifest, chosen, on, deadline, subgroups).#prepare(text, weights, prove);
    };
    try {
      return await prepare(held, true);
    } catch (error) {
      // The device that models share may be lost before anybody can know, and any device while it gets ready.
      // Or its subgroups are not what the shaders for them take them for.
      const lost = await isLost(held);
      const unfit = error instanceof NeurenixError && UNFIT.includes(error.code);
      if (!lost && !(unfit && hasSubgroups(choose(held), held))) throw error;
      return prepare(lost ? await requestDevice(table.limits, { software, deadline }) : held, false);
    }
  }

  /**
   * @param {Uint8Array} text of all shaders
   * @param {() => Promise<Uint8Array<ArrayBuffer>>} weights
   * @param {(made: WebGPUBackend) => Promise<void>} prove
   */
  async #prepare(text, weights, prove) {
    try {
      // Not one after the other: the shaders compile while the weights are on their way, and go to the GPU.
      const { compiled, bound } = this.#build(text);
      const uploaded = Promise.all([weights(), bound]).then(([bytes]) => {
        return this.#guard.checked('its weights could not be uploaded', () => this.#buffers.upload(bytes));
      });
      const [pipelines, groups] = await Promise.all([compiled, bound, uploaded]);
      this.#pass = new Pass(this.#manifest, this.#table, this.#held.device, this.#buffers, pipelines, groups);
      await prove(this);
      return this;
    } catch (error) {
      const ours = error instanceof NeurenixError;
      const failure = ours ? error : this.#guard.failure('it cannot be prepared', message(error), error);
      this.dispose();
      throw failure;
    }
  }

  /** How far answers may be off, where float16 allows more than the golden cases do; 0 where it does not. */
  get tolerance() {
    return this.#table.tolerance;
  }

  get gpuDevice() {
    return this.#held.device;
  }

  get stats() {
    const { device, adapter, software } = this.#held;
    return Object.freeze({
      adapter, software, device,
      subgroups: this.#subgroups,
      pipelines: this.#pass?.pipelines.length ?? 0,
      bindGroups: this.#pass?.groups.length ?? 0,
      buffers: this.#buffers.count,
      bytes: this.#buffers.bytes,
      dispatches: this.#table.dispatches.length,
      calls: this.#calls,
    });
  }

  /**
   * One forward pass: inputs in the order of the signature in, fresh tensors by output name out.
   * @param {Call} call
   * @param {boolean} [keep] leave the outputs on the GPU
   * @returns {Promise<Record<string, Tensor | GpuTensor>>}
   */
  async run({ dims, arrays }, keep = false) {
    const { inputs, outputs } = this.#manifest;
    const { device } = this.#held;
    const { ends } = this.#table;
    const pass = /** @type {Pass} */ (this.#pass);
    const seen = ends.size ? await readable(arrays, inputs, ends, device).catch((error) => {
      throw this.#blamed(error, arrays);
    }) : arrays;
    const words = seen.map((values, i) => toWords(values, inputs[i], device, ends.get(inputs[i].name)));
    const whole = outputs.filter(({ lengths }) => !lengths.length);
    const kept = new Set(keep ? whole.map(({ name }) => name) : []);
    const ports = outputs.flatMap((port) => [
      ...port.lengths.map(({ name }) => ({ name, shape: [] })),
      ...(kept.has(port.name) ? [] : [{ name: port.name, shape: evaluateShape(port.shape, dims) }]),
    ]);
    const own = /** @type {Map<string, GPUBuffer>} */ (new Map());
    const { places, end } = await this.#guard.checked('a call failed', () => {
      for (const { name, shape } of outputs) {
        if (kept.has(name)) own.set(name, this.#buffers.take(4 * product(evaluateShape(shape, dims))));
      }
      return pass.submit(words, dims, own, ports);
    }, () => this.#buffers.readback?.unmap()).catch((error) => {
      own.forEach((buffer) => this.#buffers.giveBack(buffer));
      throw this.#blamed(error, words);
    });
    const bytes = this.#read(end);
    if (!pass.isLast(bytes.subarray(-4))) {
      throw this.#guard.failure('a call failed', 'what was read is not of this call: its commands did not run');
    }
    this.#calls += 1;
    const values = (/** @type {string} */ name, /** @type {DType} */ dtype) => {
      const [from, size] = /** @type {readonly [number, number]} */ (places.get(name));
      return widen(bytes.subarray(from, from + size), dtype);
    };
    return Object.fromEntries(outputs.map((port) => {
      const largest = evaluateShape(port.shape, dims);
      const buffer = own.get(port.name);
      if (buffer) {
        const release = (/** @type {GPUBuffer} */ free) => this.#buffers.giveBack(free);
        return [port.name, new GpuTensor(largest, buffer, port.dtype, this.#held.device, release)];
      }
      const found = new Map(port.lengths.map(({ offset, name }) => [offset, Number(values(name, 'int32')[0])]));
      const { data, shape } = cut(port, values(port.name, port.dtype), largest, (at) => found.get(at) ?? NaN);
      return [port.name, new Tensor(shape, data, port.dtype)];
    }));
  }

  /**
   * What a call brought back.
   * @param {number} size
   */
  #read(size) {
    try {
      return this.#buffers.read(size);
    } catch (cause) {
      throw this.#guard.failure('its answer cannot be read', message(cause), cause);
    }
  }

  /**
   * An error of a call, or the page's mistake where it passed a buffer that nobody can read.
   * @param {Error} error
   * @param {readonly (TypedArray | OnGpu)[]} inputs
   */
  #blamed(error, inputs) {
    if (this.#held.lost || !inputs.some(isPagesOwn)) return error;
    return new NeurenixError('bad_input',
      'A buffer that was passed cannot be read: it must be of model.gpu.device, with COPY_SRC. '
      + error.message, { cause: error });
  }

  dispose() {
    this.#guard.close();
    this.#buffers.destroy();
  }

  /** @param {Uint8Array} text of all shaders */
  #build(text) {
    const { device } = this.#held;
    const { shaders, dispatches } = this.#table;
    const layouts = layoutsOf(device, shaders);
    const pipelines = shaders.map((shader, i) => {
      const { from, to } = (this.#subgroups && shader.subgroups) || shader;
      const code = new TextDecoder().decode(text.subarray(from, to));
      return makePipeline(device, shader, code, layouts[i], this.#manifest.name);
    });
    const compiled = this.#guard.within('its shaders did not compile', Promise.all(pipelines));
    const bound = this.#guard.checked('its buffers could not be made', () => {
      const results = this.#manifest.outputs.flatMap((port) => [port, ...port.lengths]);
      this.#buffers.make(results.map(({ name }) => name));
      return dispatches.map((row) => {
        const block = blockSize(row.params.length);
        return bindGroupOf(device, layouts[row.shader], row, this.#buffers.all, this.#buffers.params, block);
      });
    });
    return { compiled, bound };
  }
}

/**
 * @param {ShaderTable} table
 * @param {HeldDevice} held
 */
function hasSubgroups({ shaders }, { device }) {
  return device.features.has(SUBGROUPS) && shaders.some(({ subgroups }) => subgroups !== null);
}

/**
 * Whether an input is a buffer of the page's own, bare or in a tensor.
 * @param {TypedArray | OnGpu} values
 */
function isPagesOwn(values) {
  if (ArrayBuffer.isView(values)) return false;
  return !values.tensor || GpuTensor.isPagesOwn(values.tensor);
}
