// The WebGPU backend: everything made once, one command buffer a call. Loaded only when a GPU is wanted.
//
// WebGPU answers an invalid shader or dispatch with zeros unless it is asked. So all work is inside error
// scopes, whose word is awaited before an answer is believed; a map that is refused means a lost device.

import { evaluate, evaluateShape } from './dims.js';
import { NeurenixError } from './errors.js';
import { fetchVerified } from './fetching.js';
import { GpuTensor, message, widen } from './gpu-tensor.js';
import { cut } from './lengths.js';
import { product, Tensor } from './tensor.js';
import { HALF, isLost, requestDevice, SUBGROUPS } from './webgpu-device.js';
import { blockSize, readTable } from './webgpu-table.js';
import { halvesOf, readable, toWords, wordsOf } from './webgpu-values.js';
import { Guard } from './webgpu-guard.js';
import { bindGroupOf, layoutsOf, makePipeline } from './webgpu-pipelines.js';

/** @import { Call, Dims, HeldDevice, Manifest, OnGpu, Region } from './internal.js' */
/** @import { ShaderTable, Source } from './internal.js' */
/** @import { DType, TypedArray } from './types.js' */

const MOST_GROUPS = 65535; // of a dispatch, along each axis: no adapter gives more
// How a GPU fails that is not what the shaders for subgroups take it for.
const UNFIT = ['compile_failed', 'verification_failed', 'run_failed'];
const SPARE_BUFFERS = 16; // of kept outputs, waiting for the next
// Behind the plan's buffers: the params, what is read back, and the number of the call.
const PARAMS = 0;
const READBACK = 1;
const STAMP = 2;

export class WebGPUBackend {
  device = /** @type {const} */ ('webgpu');
  variant;
  threads = 1;
  #manifest;
  #table;
  #subgroups;
  #held;
  #guard;
  #calls = 0;
  /** The number of the call, which goes through the GPU with it: one that was dropped brings back another. */
  #stamp = new Int32Array(1);
  /** @type {GPUBuffer[]} */
  #buffers = [];
  /** @type {GPUBuffer[]} buffers of kept outputs that were disposed of */
  #spare = [];
  /** @type {GPUComputePipeline[]} */
  #pipelines = [];
  /** @type {GPUBindGroup[]} */
  #groups = [];
  /** @type {{ key: string, sizes: (readonly number[])[] } | null} the workgroups, for the last dims */
  #ready = null;

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
        return this.#guard.checked('its weights could not be uploaded', () => this.#upload(bytes));
      });
      [this.#pipelines] = await Promise.all([compiled, uploaded]);
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
      pipelines: this.#pipelines.length,
      bindGroups: this.#groups.length,
      buffers: this.#buffers.length + this.#spare.length,
      bytes: [...this.#buffers, ...this.#spare].reduce((sum, { size }) => sum + size, 0),
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
        if (kept.has(name)) own.set(name, this.#take(4 * product(evaluateShape(shape, dims))));
      }
      return this.#submit(words, this.#plan(dims), own, ports, dims);
    }, () => this.#read(0)).catch((error) => {
      own.forEach((buffer) => this.#giveBack(buffer));
      throw this.#blamed(error, words);
    });
    const bytes = this.#read(end);
    if (widen(bytes.subarray(-4), 'int32')[0] !== this.#stamp[0]) {
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
        const release = (/** @type {GPUBuffer} */ free) => this.#giveBack(free);
        return [port.name, new GpuTensor(largest, buffer, port.dtype, this.#held.device, release)];
      }
      const found = new Map(port.lengths.map(({ offset, name }) => [offset, Number(values(name, 'int32')[0])]));
      const { data, shape } = cut(port, values(port.name, port.dtype), largest, (at) => found.get(at) ?? NaN);
      return [port.name, new Tensor(shape, data, port.dtype)];
    }));
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
    for (const buffer of [...this.#buffers, ...this.#spare]) buffer.destroy();
    this.#buffers = [];
    this.#spare = [];
  }

  /** @param {Uint8Array} text of all shaders */
  #build(text) {
    const { device } = this.#held;
    const { shaders, buffers, dispatches, paramsSize, regions } = this.#table;
    const layouts = layoutsOf(device, shaders);
    const pipelines = shaders.map((shader, i) => {
      const { from, to } = (this.#subgroups && shader.subgroups) || shader;
      const code = new TextDecoder().decode(text.subarray(from, to));
      return makePipeline(device, shader, code, layouts[i], this.#manifest.name);
    });
    const compiled = this.#guard.within('its shaders did not compile', Promise.all(pipelines));
    const bound = this.#guard.checked('its buffers could not be made', () => {
      const { STORAGE, COPY_SRC, COPY_DST, UNIFORM, MAP_READ } = GPUBufferUsage;
      const make = (/** @type {number} */ size, /** @type {number} */ usage) => {
        this.#buffers.push(device.createBuffer({ size, usage }));
      };
      buffers.forEach((size) => make(size, STORAGE | COPY_SRC | COPY_DST));
      make(paramsSize, UNIFORM | COPY_DST);
      const results = this.#manifest.outputs.flatMap((port) => [port, ...port.lengths].map((x) => x.name));
      const read = results.reduce((sum, name) => sum + /** @type {Region} */ (regions.get(name)).size, 0);
      make(read + 4, MAP_READ | COPY_DST);
      make(4, COPY_SRC | COPY_DST);
      this.#groups = dispatches.map((row) => {
        const block = blockSize(row.params.length);
        const params = this.#buffers[buffers.length + PARAMS];
        return bindGroupOf(device, layouts[row.shader], row, this.#buffers, params, block);
      });
    });
    return { compiled, bound };
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  #upload(bytes) {
    for (const { name, dtype, offset, size } of this.#table.tensors) {
      const held = wordsOf(bytes, dtype, offset, size);
      const { buffer, offset: at, type } = /** @type {Region} */ (this.#table.regions.get(name));
      const words = type === 'f16' ? halvesOf(/** @type {Float32Array<ArrayBuffer>} */ (held)) : held;
      if (words.length) this.#held.device.queue.writeBuffer(this.#buffers[buffer], at, words);
    }
  }

  /**
   * The workgroups of every dispatch for these dims. Params are written when the dims change, and only then.
   * @param {Dims} dims
   */
  #plan(dims) {
    const key = [...dims.values()].join();
    if (this.#ready?.key === key) return this.#ready;
    const { dispatches, paramsSize, buffers } = this.#table;
    const params = new Int32Array(paramsSize / 4);
    const sizes = dispatches.map((row) => {
      const own = row.params.map((size) => this.#exact(evaluate(size, dims), -(2 ** 31), 2 ** 31 - 1));
      params.set(own, row.at / 4);
      const most = row.groups.length > 1 ? MOST_GROUPS : MOST_GROUPS ** 2;
      const [x, y, z] = row.groups.map((size) => this.#exact(evaluate(size, dims), 0, most));
      return y === undefined ? [Math.min(x, MOST_GROUPS), Math.ceil(x / MOST_GROUPS), 1] : [x, y, z];
    });
    this.#ready = null;
    this.#held.device.queue.writeBuffer(this.#buffers[buffers.length + PARAMS], 0, params);
    this.#ready = { key, sizes };
    return this.#ready;
  }

  /**
   * @param {number} value
   * @param {number} least
   * @param {number} most
   */
  #exact(value, least, most) {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new NeurenixError('bad_bundle',
      `${this.#manifest.name}: its dispatch table gives ${value} for these sizes. Export the model again.`);
  }

  /**
   * Write the inputs, and encode and submit the whole pass.
   * @param {readonly (Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | OnGpu)[]} words
   * @param {{ sizes: (readonly number[])[] }} plan
   * @param {ReadonlyMap<string, GPUBuffer>} own buffers of the outputs that are kept
   * @param {readonly { name: string, shape: readonly number[] }[]} ports what is read back
   * @param {Dims} dims
   */
  #submit(words, { sizes }, own, ports, dims) {
    const { device } = this.#held;
    const { inputs, outputs } = this.#manifest;
    const { regions, dispatches, buffers } = this.#table;
    const region = (/** @type {string} */ name) => /** @type {Region} */ (regions.get(name));
    const stamp = this.#buffers[buffers.length + STAMP];
    this.#stamp[0] += 1;
    device.queue.writeBuffer(stamp, 0, this.#stamp);
    const encoder = device.createCommandEncoder();
    words.forEach((values, i) => {
      const { buffer, offset } = region(inputs[i].name);
      if (!values.length) return;
      if ('buffer' in values && !ArrayBuffer.isView(values)) {
        encoder.copyBufferToBuffer(values.buffer, 0, this.#buffers[buffer], offset, 4 * values.length);
      } else {
        device.queue.writeBuffer(this.#buffers[buffer], offset, values);
      }
    });
    const pass = encoder.beginComputePass();
    dispatches.forEach(({ shader }, i) => {
      const [x, y, z] = sizes[i];
      if (!x || !y || !z) return;
      pass.setPipeline(this.#pipelines[shader]);
      pass.setBindGroup(0, this.#groups[i]);
      pass.dispatchWorkgroups(x, y, z);
    });
    pass.end();
    /** @type {(name: string, target: GPUBuffer, to: number, size: number) => void} */
    const copy = (name, target, to, size) => {
      const { buffer, offset } = region(name);
      if (size) encoder.copyBufferToBuffer(this.#buffers[buffer], offset, target, to, size);
    };
    for (const { name, shape } of outputs) {
      const target = own.get(name);
      if (target) copy(name, target, 0, 4 * product(evaluateShape(shape, dims)));
    }
    const readback = this.#buffers[buffers.length + READBACK];
    const places = /** @type {Map<string, readonly [number, number]>} */ (new Map());
    let end = 0;
    for (const { name, shape } of ports) {
      const size = 4 * product(shape);
      copy(name, readback, end, size);
      places.set(name, [end, size]);
      end += size;
    }
    encoder.copyBufferToBuffer(stamp, 0, readback, end, 4);
    device.queue.submit([encoder.finish()]);
    return { places, end: end + 4, mapped: readback.mapAsync(GPUMapMode.READ, 0, end + 4) };
  }

  /**
   * Copy what a call brought back, and let go of the buffer.
   * @param {number} size
   */
  #read(size) {
    const readback = this.#buffers[this.#table.buffers.length + READBACK];
    try {
      const found = size ? readback.getMappedRange(0, size).slice(0) : new ArrayBuffer(0);
      return new Uint8Array(found);
    } catch (cause) {
      throw this.#guard.failure('its answer cannot be read', message(cause), cause);
    } finally {
      readback?.unmap();
    }
  }

  /** @param {number} size */
  #take(size) {
    const found = this.#spare.findIndex((buffer) => buffer.size === Math.max(size, 4));
    if (found >= 0) return this.#spare.splice(found, 1)[0];
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.#held.device.createBuffer({ size: Math.max(size, 4), usage });
  }

  /** @param {GPUBuffer} buffer */
  #giveBack(buffer) {
    if (this.#guard.closed || this.#spare.length >= SPARE_BUFFERS) buffer.destroy();
    else this.#spare.push(buffer);
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
