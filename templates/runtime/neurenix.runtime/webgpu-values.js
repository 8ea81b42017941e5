// Inputs and parameters as a GPU holds them: 4 bytes an element, whole numbers as 32-bit integers.

import { NeurenixError } from './errors.js';

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
    if (tensor && tensor.gpuDevice !== device) {
      throw new NeurenixError('unsupported', `Input '${port.name}' is on another GPU device.`);
    }
    return values;
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
