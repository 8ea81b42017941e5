// Inputs and parameters as a GPU holds them: 4 bytes an element, floats as f32, whole numbers as i32. A table
// for devices with float16 has parameters of 2 bytes as well.

import { NeurenixError } from './errors.js';
import { fetchValues } from './gpu-tensor.js';
import { narrowHalves, widenHalves } from './half.js';

/** @import { Ends, OnGpu, Port } from './internal.js' */
/** @import { DType, TypedArray } from './types.js' */

/** What every whole number on a GPU is between. */
const WORD = /** @type {Ends} */ ([-(2 ** 31), 2 ** 31 - 1]);

/**
 * The inputs of a call, with those brought here whose values must be looked at: their ends are narrower than
 * those of 32 bits.
 * @param {readonly (TypedArray | OnGpu)[]} arrays
 * @param {readonly Port[]} ports
 * @param {ReadonlyMap<string, Ends>} ends
 * @param {GPUDevice} device
 */
export async function readable(arrays, ports, ends, device) {
  const hidden = arrays.map((values, i) => ends.has(ports[i].name) && !ArrayBuffer.isView(values));
  if (!hidden.includes(true)) return arrays;
  return Promise.all(arrays.map((values, i) => {
    return hidden[i] ? fetchValues(/** @type {OnGpu} */ (values), device) : values;
  }));
}

/**
 * An input as the GPU holds it. Whole numbers have 32 bits there, or narrower ends: those beyond are for
 * WebAssembly.
 * @param {TypedArray | OnGpu} values
 * @param {Port} port
 * @param {GPUDevice} device
 * @param {Ends} [ends]
 */
export function toWords(values, port, device, ends = WORD) {
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
  if (port.dtype === 'float16') return widenHalves(/** @type {Uint16Array} */ (values));
  const words = new Int32Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const value = Number(values[i]);
    words[i] = value;
    if (words[i] !== value || value < ends[0] || value > ends[1]) throw beyond(values[i], port, ends);
  }
  return words;
}

/**
 * @param {number | bigint} value
 * @param {Port} port
 * @param {Ends} ends
 */
function beyond(value, { name }, [least, most]) {
  const word = value < WORD[0] || value > WORD[1];
  return new NeurenixError('unsupported', `Input '${name}' holds ${value}; ${word
    ? "a GPU's whole numbers have 32 bits."
    : `only from ${least} to ${most} is it shown that a GPU's 32 bits hold what the model makes of it.`}`);
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
  if (dtype === 'float16') return widenHalves(new Uint16Array(buffer, at, size / 2));
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
  const within = new Float32Array(values.length + values.length % 2);
  for (let i = 0; i < values.length; i++) {
    within[i] = Math.max(-LARGEST_HALF, Math.min(LARGEST_HALF, values[i]));
  }
  return narrowHalves(within);
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
