// Inputs and parameters as a GPU holds them: 4 bytes an element, whole numbers as i32, or float16.

import { NeurenixError } from './errors.js';
import { toHalf } from './half.js';

/** @import { OnGpu, Port } from './internal.js' */
/** @import { DType, TypedArray } from './types.js' */

/**
 * An input as the GPU holds it. Whole numbers have 32 bits there: those that need more are for WebAssembly.
 * @param {TypedArray | OnGpu} values
 * @param {Port} port
 * @param {GPUDevice} device
 */
export function toWords(values, port, device) {
  if (!ArrayBuffer.isView(values)) {
    const { tensor } = values;
    if (!tensor) return values;
    if (tensor.gpuDevice !== device) {
      throw new NeurenixError('unsupported', `Input '${port.name}' is on another GPU device.`);
    }
    // Asked again: one that was disposed of since has a buffer that serves another call.
    return { ...values, buffer: /** @type {GPUBuffer} */ (tensor.buffer) };
  }
  if (values instanceof Float32Array) return /** @type {Float32Array<ArrayBuffer>} */ (values);
  const words = new Int32Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const value = Number(values[i]);
    words[i] = value;
    if (words[i] !== value) {
      throw new NeurenixError('unsupported',
        `Input '${port.name}' holds ${values[i]}; a GPU's whole numbers have 32 bits.`);
    }
  }
  return words;
}

/**
 * A parameter as the GPU holds it: the build has shown that its whole numbers fit.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {DType} dtype
 * @param {number} offset
 * @param {number} size
 */
export function wordsOf({ buffer, byteOffset }, dtype, offset, size) {
  const at = byteOffset + offset;
  if (dtype === 'float32') return new Float32Array(buffer, at, size / 4);
  const view = new DataView(buffer, at, size);
  const reader = READERS[dtype];
  if (!reader) throw new NeurenixError('unsupported', `A parameter is ${dtype}, which no shader holds.`);
  const { width, at: read } = reader;
  return Int32Array.from({ length: size / width }, (_, i) => Number(read(view, i * width)));
}

const LARGEST_HALF = 65504;

/**
 * A parameter as float16, in whole words as uploads are: what is beyond its largest number becomes that.
 * @param {Float32Array<ArrayBuffer>} values
 */
export function halvesOf(values) {
  const length = values.length + values.length % 2;
  const Half = /** @type {any} */ (globalThis).Float16Array; // not every browser has it
  const made = Half ? new Half(length) : new Uint16Array(length);
  for (let i = 0; i < values.length; i++) {
    const value = Math.max(-LARGEST_HALF, Math.min(LARGEST_HALF, values[i]));
    made[i] = Half ? value : toHalf(value);
  }
  return new Uint16Array(made.buffer);
}

/** @type {Partial<Record<DType, { width: number, at: (view: DataView, at: number) => number | bigint }>>} */
const READERS = {
  int8: { width: 1, at: (view, at) => view.getInt8(at) },
  uint8: { width: 1, at: (view, at) => view.getUint8(at) },
  bool: { width: 1, at: (view, at) => view.getUint8(at) },
  int16: { width: 2, at: (view, at) => view.getInt16(at, true) },
  uint16: { width: 2, at: (view, at) => view.getUint16(at, true) },
  int32: { width: 4, at: (view, at) => view.getInt32(at, true) },
  uint32: { width: 4, at: (view, at) => view.getUint32(at, true) },
  int64: { width: 8, at: (view, at) => view.getBigInt64(at, true) },
  uint64: { width: 8, at: (view, at) => view.getBigUint64(at, true) },
};
