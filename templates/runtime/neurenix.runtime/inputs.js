// Turns what forward() was given into arrays in the order of the signature, or says what is wrong with it.

import { bindDims } from './dims.js';
import { didYouMean, NeurenixError, quoted } from './errors.js';
import { isBuffer, isOnGpu } from './gpu-tensor.js';
import { arrayName, ARRAYS, asBits, describe, fromValues, isTensor, nestedShape } from './tensor.js';

/** @import { Call, Given, Manifest } from './internal.js' */
/** @import { GpuTensor, TensorInfo, TypedArray } from './types.js' */

/**
 * @param {unknown} inputs
 * @param {Pick<Manifest, 'inputs' | 'dims'>} signature
 * @returns {Call}
 */
export function bindInputs(inputs, signature) {
  const values = byName(inputs, signature.inputs.map(({ name }) => name));
  const given = signature.inputs.map((info) => read(info, values[info.name]));
  return { dims: bindDims(given, signature.dims), arrays: given.map(({ data }) => data) };
}

/**
 * The values by input name; a bare value stands for the only input.
 * @param {unknown} inputs
 * @param {readonly string[]} names
 * @returns {Record<string, unknown>}
 */
function byName(inputs, names) {
  if (typeof inputs !== 'object' || isNothing(inputs) || isValue(inputs)) {
    if (names.length === 1 && !isNothing(inputs)) return { [names[0]]: inputs };
    throw new NeurenixError('bad_input',
      `forward() expects an object with the inputs ${quoted(names)}, but got ${describe(inputs)}.`);
  }
  const extra = Object.keys(inputs).find((name) => !names.includes(name));
  if (extra !== undefined) {
    throw new NeurenixError('bad_input', `The model has no input '${extra}'. ${didYouMean(extra, names)}`);
  }
  const values = /** @type {Record<string, unknown>} */ (inputs);
  const missing = names.filter((name) => !Object.hasOwn(values, name) || isNothing(values[name]));
  if (missing.length) {
    throw new NeurenixError('bad_input',
      `No value was given for ${quoted(missing)}. The model's inputs are ${quoted(names)}.`);
  }
  return values;
}

/**
 * One value, copied, so that the caller may reuse its array at once.
 * @param {TensorInfo} info
 * @param {unknown} value
 * @returns {Given}
 */
function read(info, value) {
  if (isOnGpu(value)) return readOnGpu(info, value);
  const held = isTensor(value) ? value.data : value;
  const values = asBits(held, info.dtype) ?? held;
  if (arrayName(values) !== undefined) {
    const array = /** @type {TypedArray} */ (values);
    const { name } = ARRAYS[info.dtype];
    if (arrayName(array) !== name) {
      throw new NeurenixError('bad_input',
        `Input '${info.name}' expects ${info.dtype}, but got ${describe(value)}. Convert it: ${name}.from(data).`);
    }
    return { info, value, data: copy(array), shape: isTensor(value) ? value.shape : null };
  }
  const shape = nestedShape(values);
  if (!shape || (typeof values === 'object' && !Array.isArray(values))) {
    throw new NeurenixError('bad_input',
      `Input '${info.name}' expects a typed array, a Tensor or nested arrays, but got ${describe(value)}.`);
  }
  const flat = Array.isArray(values) ? values.flat(Infinity) : [values];
  const data = fromValues(flat, info.dtype, `Input '${info.name}'`);
  // An array without inner arrays, and a single number, are flat data like a typed array.
  return { info, value, data, shape: shape.length > 1 ? shape : null };
}

/**
 * One value that lies on a GPU, where it stays. A bare buffer is flat data, 4 bytes an element.
 * @param {TensorInfo} info
 * @param {GpuTensor | GPUBuffer} value
 * @returns {Given}
 */
function readOnGpu(info, value) {
  if (isBuffer(value)) {
    return { info, value, data: { buffer: value, length: value.size / 4, dtype: info.dtype }, shape: null };
  }
  if (value.dtype !== info.dtype) {
    throw new NeurenixError('bad_input',
      `Input '${info.name}' expects ${info.dtype}, but got a ${value.dtype} tensor on the GPU.`);
  }
  const { buffer, size, dtype, shape } = value;
  return { info, value, data: { tensor: value, buffer, length: size, dtype }, shape };
}

/**
 * A copy; an array whose buffer was given away (to a worker, say) is empty, and cannot be sliced.
 * @param {TypedArray} array
 */
function copy(array) {
  return array.length ? array.slice() : array;
}

/**
 * @param {unknown} value
 * @returns {value is null | undefined}
 */
function isNothing(value) {
  return value === null || value === undefined;
}

/** @param {unknown} value */
function isValue(value) {
  return Array.isArray(value) || ArrayBuffer.isView(value) || isTensor(value) || isOnGpu(value);
}
