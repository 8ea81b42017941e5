// GpuTensor: an output that stayed on the GPU, or a GPU buffer of the page's own, and the way back.

import { within } from './deadline.js';
import { NeurenixError } from './errors.js';
import { narrowHalves } from './half.js';
import { allocate, describe, isDType, isShape, product, show } from './tensor.js';

/** @import { DType, TypedArray } from './types.js' */
/** @import { ArrayTypes, GpuTensor as PublicGpuTensor } from './types.js' */
/** @import { OnGpu } from './internal.js' */

const DOWNLOAD_MS = 60_000;

/**
 * Values on a GPU, row-major, 4 bytes each: float32 as they are, float16 as float32 of the same values, whole
 * numbers and conditions as 32-bit integers.
 * @template {DType} [D=DType]
 * @implements {PublicGpuTensor<D>}
 */
export class GpuTensor {
  /** @type {GPUBuffer | null} */
  #buffer;
  #device;
  #release;

  /**
   * @param {readonly number[]} shape
   * @param {GPUBuffer} buffer
   * @param {D} dtype
   * @param {GPUDevice} device the buffer's own
   * @param {(buffer: GPUBuffer) => void} [release] takes the buffer back
   */
  constructor(shape, buffer, dtype, device, release) {
    if (!isShape(shape) || !isDType(dtype)) {
      throw new NeurenixError('bad_input',
        `A tensor on the GPU has a shape and a dtype, not ${describe(shape)} and ${describe(dtype)}.`);
    }
    if (product(shape) * 4 > buffer.size) {
      throw new NeurenixError('bad_input',
        `A tensor of shape ${show(shape)} takes ${product(shape) * 4} bytes on the GPU; its buffer has ${buffer.size}.`);
    }
    this.#buffer = buffer;
    this.#device = device;
    this.#release = release;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.length = product(shape);
    Object.freeze(this);
  }

  get size() {
    return this.length;
  }

  get buffer() {
    if (this.#buffer) return this.#buffer;
    throw new NeurenixError('disposed', 'This tensor was disposed of: its buffer serves another call.');
  }

  /** The device that the buffer belongs to. */
  get gpuDevice() {
    return this.#device;
  }

  async getData() {
    const values = await download(this.#device, this.buffer, this.length);
    return /** @type {ArrayTypes[D]} */ (widen(values, this.dtype));
  }

  toJSON() {
    throw new NeurenixError('bad_input', 'This tensor is on the GPU, and JSON is not asynchronous: await getData() first.');
  }

  /**
   * Whether its buffer is the page's, of which nobody knows what it is, and no model's output.
   * @param {PublicGpuTensor} tensor
   */
  static isPagesOwn(tensor) {
    return #release in tensor && tensor.#release === undefined;
  }

  dispose() {
    const buffer = this.#buffer;
    this.#buffer = null;
    if (buffer) this.#release?.(buffer);
  }
}

/**
 * Whether a value lies on a GPU: a tensor there, also one of another copy of this runtime, or a bare buffer.
 * @param {any} value
 * @returns {value is PublicGpuTensor | GPUBuffer}
 */
export function isOnGpu(value) {
  return isBuffer(value) || value instanceof GpuTensor
    || (isDType(value?.dtype) && typeof value.getData === 'function' && isBuffer(value.buffer));
}

/**
 * @param {any} value
 * @returns {value is GPUBuffer}
 */
export function isBuffer(value) {
  return typeof value?.mapAsync === 'function' && typeof value.usage === 'number';
}

/**
 * The values of an input that lies on the GPU, as `forward()` takes them from anywhere else.
 * @param {OnGpu} input
 * @param {GPUDevice | null} device of the model, for a bare buffer
 */
export async function fetchValues({ tensor, buffer, length, dtype }, device) {
  if (tensor) return tensor.getData();
  if (!device) {
    throw new NeurenixError('bad_input',
      'An input is a buffer of a GPU, on which the model does not run (any more): pass its values.');
  }
  return widen(await download(device, buffer, length), dtype);
}

/**
 * The first values of a buffer, as the 32-bit words that they are.
 * @param {GPUDevice} device
 * @param {GPUBuffer} buffer
 * @param {number} length
 */
async function download(device, buffer, length) {
  if (!length) return new Uint8Array(0);
  const late = () => new NeurenixError('run_failed', `The GPU did not give ${length} values within a minute.`);
  const { result, problem } = scoped(device, () => {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const target = device.createBuffer({ size: 4 * length, usage });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, target, 0, 4 * length);
    device.queue.submit([encoder.finish()]);
    return { target, mapped: target.mapAsync(GPUMapMode.READ) };
  });
  try {
    const [error] = await within(Promise.all([problem, result.mapped]), DOWNLOAD_MS, late);
    if (error) throw error;
    return new Uint8Array(result.target.getMappedRange().slice(0));
  } catch (cause) {
    if (cause instanceof NeurenixError) throw cause;
    throw new NeurenixError('run_failed',
      `The values of a tensor on the GPU are lost, or cannot be read: ${message(cause)}.`, { cause });
  } finally {
    result.target.destroy();
  }
}

/**
 * Do some work on a device inside error scopes: its result, and what WebGPU first says of it, or null.
 * @template T
 * @param {GPUDevice} device
 * @param {() => T} work
 * @returns {{ result: T, problem: Promise<GPUError | Error | null> }}
 */
export function scoped(device, work) {
  const filters = /** @type {const} */ (['out-of-memory', 'internal', 'validation']);
  filters.forEach((filter) => device.pushErrorScope(filter));
  const close = () => Promise.all(filters.map(() => device.popErrorScope()))
    .then((found) => found.find(Boolean) ?? null, (/** @type {Error} */ cause) => cause);
  let result;
  try {
    result = work();
  } catch (cause) {
    close();
    throw cause;
  }
  return { result, problem: close() };
}

/**
 * Values as the dtype's own array. The GPU's whole numbers have 32 bits.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {DType} dtype
 * @returns {TypedArray}
 */
export function widen(bytes, dtype) {
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === 'float16') return narrowHalves(new Float32Array(buffer, byteOffset, byteLength / 4));
  const values = new Int32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === 'int32') return values;
  const data = allocate(dtype, values.length);
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  values.forEach((value, i) => { data[i] = /** @type {never} */ (big ? BigInt(value) : value); });
  return data;
}

/**
 * What an error says, in one line without its end.
 * @param {any} cause
 */
export function message(cause) {
  return String(cause?.message ?? cause).replaceAll(/\s+/g, ' ').trim().slice(0, 600).replace(/\.$/, '');
}
