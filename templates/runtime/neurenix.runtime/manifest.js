// Reads NAME.json (FORMAT.md) and refuses what does not fit, before anything is allocated for it.

import { OPERATORS, evaluateShape } from './dims.js';
import { NeurenixError } from './errors.js';
import { Field } from './field.js';
import { ARRAYS, isDType, product } from './tensor.js';

/** @import { BundleFile, Golden, Manifest } from './internal.js' */
/** @import { DType, Dim, Entry, Layer, Size } from './types.js' */

/** The only bundle format that this runtime reads. */
export const FORMAT = 1;
export const PAGE = 65536;

const MAX_MANIFEST = 16 * 2 ** 20; // which bounds every list inside as well
const MAX_PAGES = 65536;
const MAX_DEPTH = 32;

/**
 * Refuse what NAME.js says before anything is fetched.
 * @param {Entry} entry
 */
export function checkEntry({ name, format, manifest }) {
  checkFormat(format, `${name}.js`);
  if (manifest.size > MAX_MANIFEST) {
    throw new NeurenixError('bad_bundle',
      `${manifest.file} has ${manifest.size} bytes; a manifest has at most ${MAX_MANIFEST}.`);
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {string} file
 * @returns {Manifest}
 */
export function parseManifest(bytes, file) {
  let json;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new NeurenixError('bad_bundle', `${file} is not valid JSON.`, { cause });
  }
  checkFormat(json?.format, file);
  const root = new Field(file, json);
  const dims = root.get('dims').list(readDim);
  const names = new Set(dims.map(({ name }) => name));
  const readPort = (/** @type {Field} */ port) => ({
    name: port.get('name').text(),
    dtype: readDType(port.get('dtype')),
    shape: port.get('shape').list((size) => readSize(size, names)),
    offset: port.get('offset').integer(),
    lengths: port.get('lengths', []).list(readLength),
  });
  const files = root.get('files');
  const memory = root.get('memory');
  const manifest = {
    name: root.get('name').text(),
    abi: root.get('abi').integer(0, 2 ** 32 - 1),
    device: root.get('device', 'auto').text(),
    inputs: root.get('inputs').list(readPort, 1),
    outputs: root.get('outputs').list(readPort, 1),
    dims,
    labels: root.get('labels').raw ? root.get('labels').list((label) => label.text()) : null,
    layers: root.get('layers', []).list(readLayer),
    memory: {
      base: memory.get('base').integer(),
      weights: memory.get('weights').integer(),
      arena: memory.get('arena').integer(),
      pages: memory.get('pages').integer(1, MAX_PAGES),
    },
    wantsThreads: root.get('threads', {}).get('requested', false).raw === true,
    weights: root.get('weights').list((name) => readFile(name, files)),
    variants: root.get('variants').list((variant) => ({
      name: variant.get('name').text(),
      file: readFile(variant.get('file'), files),
    }), 1),
    golden: root.get('golden', []).list((golden) => readGolden(golden, dims)),
    webgpu: root.has('webgpu') ? root.get('webgpu') : null,
    root,
  };
  checkMemory(manifest, root);
  return deepFreeze(manifest);
}

/**
 * The arena follows the weights, at a multiple of 64.
 * @param {Manifest['memory']} memory
 */
export function arenaStart({ base, weights }) {
  return Math.ceil((base + weights) / 64) * 64;
}

/**
 * @param {unknown} format
 * @param {string} file
 */
function checkFormat(format, file) {
  if (format === FORMAT) return;
  throw new NeurenixError('bad_version',
    `${file} has bundle format ${format}; this runtime reads format ${FORMAT}. Export the model again.`);
}

/**
 * Every byte that a call reads or writes must lie inside the memory, at the largest sizes of the dims.
 * @param {Manifest} manifest
 * @param {Field} root
 */
function checkMemory({ memory, weights, inputs, outputs, dims }, root) {
  const stored = weights.reduce((sum, { size }) => sum + size, 0);
  if (stored !== memory.weights) {
    throw root.get('memory').get('weights').error(`is ${memory.weights}, but the files hold ${stored} bytes`);
  }
  const end = arenaStart(memory) + memory.arena;
  if (!(end <= memory.pages * PAGE)) {
    throw root.get('memory').get('pages').error(`is ${memory.pages}, too few for a plan of ${end} bytes`);
  }
  const largest = new Map(dims.map(({ name, max }) => [name, max]));
  /** @type {(name: string, dtype: DType, offset: number, count?: number) => void} */
  const fit = (name, dtype, offset, count = 1) => {
    const width = ARRAYS[dtype].BYTES_PER_ELEMENT;
    const last = offset + count * width;
    if (offset % width || !(last <= memory.arena)) {
      const place = `'${name}' does not fit at ${offset} to ${last}`;
      throw root.get('memory').get('arena').error(`has ${memory.arena} bytes; ${place}`);
    }
  };
  for (const { name, dtype, shape, offset, lengths } of [...inputs, ...outputs]) {
    fit(name, dtype, offset, product(evaluateShape(shape, largest)));
    for (const length of lengths) {
      if (length.axis >= shape.length) throw root.error(`'${name}' has no axis ${length.axis}, and a length for it`);
      fit(name, 'int64', length.offset);
    }
  }
}

/** @param {Field} length */
function readLength(length) {
  return {
    axis: length.get('axis').integer(),
    name: length.get('name').text(),
    offset: length.get('offset').integer(),
  };
}

/** @param {Field} dim */
function readDim(dim) {
  const min = dim.get('min').integer();
  return { name: dim.get('name').text(), min, max: dim.get('max').integer(min) };
}

/** @param {Field} dtype */
function readDType(dtype) {
  const name = dtype.raw;
  if (!isDType(name)) throw dtype.error(`is ${JSON.stringify(name)}, which this runtime does not know`);
  return name;
}

/**
 * @param {Field} size
 * @param {ReadonlySet<string>} dims
 * @returns {Size}
 */
export function readSize(size, dims, depth = 0) {
  const value = size.raw;
  if (typeof value === 'number') return size.integer(depth ? -Number.MAX_SAFE_INTEGER : 0);
  if (typeof value === 'string' && dims.has(value)) return value;
  if (Array.isArray(value) && value.length === 3 && Object.hasOwn(OPERATORS, value[0]) && depth < MAX_DEPTH) {
    const [, a, b] = size.list((part) => part);
    return [value[0], readSize(a, dims, depth + 1), readSize(b, dims, depth + 1)];
  }
  throw size.error('is no size, no dim of this model and no expression of them');
}

/**
 * @param {Field} layer
 * @returns {Layer}
 */
function readLayer(layer) {
  return {
    name: layer.get('name').text(),
    type: layer.get('type').text(),
    config: layer.get('config', {}).object(),
    parameters: layer.get('parameters', []).list((parameter) => parameter.text()),
  };
}

/**
 * @param {Field} golden
 * @param {readonly Dim[]} dims
 * @returns {Golden}
 */
function readGolden(golden, dims) {
  const sizes = golden.get('dims', {});
  return {
    dims: dims.map(({ name, min, max }) => [name, sizes.get(name).integer(min, max)]),
    inputs: golden.get('inputs'),
    outputs: golden.get('outputs'),
    lengths: golden.get('lengths', {}),
    tolerance: golden.get('tolerance').number(),
  };
}

/**
 * A file of the bundle. Its name is joined to the bundle's address, so it may not lead anywhere else.
 * @param {Field} field
 * @param {Field} files
 * @returns {BundleFile}
 */
export function readFile(field, files) {
  const name = field.text();
  if (!/^\w[\w.-]*$/.test(name)) throw field.error(`is no file name: ${JSON.stringify(name)}`);
  if (!files.has(name)) throw field.error(`names '${name}', which is not in 'files'`);
  const file = files.get(name);
  const sha256 = file.get('sha256').text();
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw file.get('sha256').error('is not 64 hex digits');
  return { name, size: file.get('size').integer(0, MAX_PAGES * PAGE), sha256 };
}

/**
 * @template T
 * @param {T} value
 * @returns {Readonly<T>}
 */
function deepFreeze(value) {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
