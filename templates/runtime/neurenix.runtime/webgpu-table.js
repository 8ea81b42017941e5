// Reads the dispatch table of NAME.json (FORMAT.md) and refuses what does not fit, before a GPU sees it.

import { evaluateShape } from './dims.js';
import { readFile, readSize } from './manifest.js';
import { ARRAYS, isDType, product } from './tensor.js';

/** @import { Field } from './field.js' */
/** @import { DispatchRow, Ends, Manifest, Region, ShaderRow, ShaderTable } from './internal.js' */
/** @import { Size } from './types.js' */

const ALIGNMENT = 256;
const LARGEST = 2 ** 31;
const MOST_PARAMS = 256;
const LIMITS = [
  'maxStorageBuffersPerShaderStage', 'maxStorageBufferBindingSize', 'maxBufferSize',
  'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX',
];
// What holds each dtype's values on a GPU; those that are missing have no shaders.
const FLOATS = ['float32', 'float16'];
const WHOLE = ['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'bool'];

/**
 * @param {Manifest} manifest
 * @returns {ShaderTable}
 */
export function readTable(manifest) {
  const { webgpu, root } = manifest;
  if (!webgpu) throw root.error('has no shaders');
  const half = webgpu.has('half') ? readShaders(manifest, webgpu.get('half'), null) : null;
  return readShaders(manifest, webgpu, half);
}

/**
 * @param {Manifest} manifest
 * @param {Field} webgpu the table, or that for float16 in it
 * @param {ShaderTable | null} half
 * @returns {ShaderTable}
 */
function readShaders(manifest, webgpu, half) {
  const { root } = manifest;
  const names = new Set(manifest.dims.map(({ name }) => name));
  const size = (/** @type {Field} */ field) => readSize(field, names);
  // A param may be below 0: there are strides that walk backwards.
  const param = (/** @type {Field} */ field) => readSize(field, names, 1);
  const buffers = webgpu.get('buffers').list((buffer) => multiple(buffer.get('size'), 4, LARGEST));
  const regions = new Map(Object.keys(webgpu.get('regions').object()).map((name) => {
    return [name, readRegion(webgpu.get('regions').get(name), buffers)];
  }));
  const shaders = webgpu.get('shaders').list(readShader);
  const paramsSize = multiple(webgpu.get('paramsSize'), 4, LARGEST);
  const table = {
    file: readFile(webgpu.get('file'), root.get('files')),
    limits: readLimits(webgpu.get('limits')),
    buffers,
    regions,
    paramsSize,
    shaders,
    dispatches: webgpu.get('dispatches').list((row) => {
      return readDispatch(row, { shaders, regions, paramsSize, size, param });
    }),
    tensors: root.get('tensors').list((tensor) => readTensor(tensor, manifest.memory.weights)),
    half,
    tolerance: webgpu.has('tolerance') ? webgpu.get('tolerance').number() : 0,
    ends: webgpu.has('inputs') ? readEnds(webgpu.get('inputs'), manifest) : new Map(),
  };
  checkText(table, webgpu);
  checkPorts(table, manifest, webgpu);
  return table;
}

/**
 * @param {Field} field
 * @param {Manifest} manifest
 * @returns {ReadonlyMap<string, Ends>}
 */
function readEnds(field, { inputs }) {
  return new Map(Object.keys(field.object()).map((name) => {
    const port = inputs.find((input) => input.name === name);
    if (!port || !WHOLE.includes(port.dtype)) throw field.get(name).error('is no input of whole numbers');
    const [least, most, ...more] = field.get(name).list((end) => end.integer(-(2 ** 31), 2 ** 31 - 1));
    if (more.length || !(least <= most)) throw field.get(name).error('is no pair of a least and a most');
    return [name, [least, most]];
  }));
}

/**
 * @param {Field} field
 * @param {number} unit
 * @param {number} most
 */
function multiple(field, unit, most) {
  const value = field.integer(unit, most);
  if (value % unit) throw field.error(`is ${value}, no multiple of ${unit}`);
  return value;
}

/** @param {Field} limits */
function readLimits(limits) {
  const unknown = Object.keys(limits.object()).find((name) => !LIMITS.includes(name));
  if (unknown !== undefined) throw limits.get(unknown).error('is no limit that a plan may ask for');
  const names = Object.keys(limits.object());
  return Object.fromEntries(names.map((name) => [name, limits.get(name).integer(1, LARGEST)]));
}

/**
 * @param {Field} field
 * @param {readonly number[]} buffers
 * @returns {Region}
 */
function readRegion(field, buffers) {
  const buffer = field.get('buffer').integer(0, buffers.length - 1);
  const size = multiple(field.get('size'), 4, LARGEST);
  const offset = field.get('offset').integer(0, buffers[buffer] - size);
  if (offset % ALIGNMENT) throw field.get('offset').error(`is ${offset}, no multiple of ${ALIGNMENT}`);
  const type = field.get('type').text();
  if (type !== 'f32' && type !== 'i32' && type !== 'f16') {
    throw field.get('type').error('is neither f32, i32 nor f16');
  }
  return { buffer, offset, size, type };
}

/**
 * @param {Field} field
 * @returns {ShaderRow}
 */
function readShader(field) {
  return {
    name: field.get('name').text(),
    ...readText(field),
    subgroups: field.has('subgroups') ? readText(field.get('subgroups')) : null,
    bindings: field.get('bindings').list((binding) => {
      const access = binding.text();
      if (access !== 'read' && access !== 'write') throw binding.error('is neither read nor write');
      return access;
    }, 1),
    params: field.get('params').integer(0, MOST_PARAMS),
  };
}

/** @param {Field} field */
function readText(field) {
  return { from: field.get('from').integer(), to: field.get('to').integer() };
}

/**
 * @param {Field} field
 * @param {{ shaders: readonly ShaderRow[], regions: ReadonlyMap<string, Region>, paramsSize: number,
 *   size: (field: Field) => Size, param: (field: Field) => Size }} known
 * @returns {DispatchRow}
 */
function readDispatch(field, { shaders, regions, paramsSize, size, param }) {
  const shader = field.get('shader').integer(0, shaders.length - 1);
  const { bindings, params } = shaders[shader];
  const row = {
    shader,
    bindings: field.get('bindings').list((binding) => {
      const region = regions.get(binding.text());
      if (!region) throw binding.error(`names '${binding.text()}', which has no region`);
      return region;
    }),
    params: field.get('params').list(param),
    at: field.get('at').integer(0, paramsSize),
    groups: readGroups(field.get('groups'), size),
  };
  if (row.bindings.length !== bindings.length) throw field.get('bindings').error(`are not ${bindings.length}`);
  if (row.params.length !== params) throw field.get('params').error(`are not ${params}`);
  if (row.at % ALIGNMENT || row.at + blockSize(params) > paramsSize) {
    throw field.get('at').error(`is ${row.at}: the params lie outside of their ${paramsSize} bytes`);
  }
  return row;
}

/**
 * @param {Field} field
 * @param {(field: Field) => Size} size
 * @returns {DispatchRow['groups']}
 */
function readGroups(field, size) {
  const { raw } = field;
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return [size(field)];
  return [size(field.get('x')), size(field.get('y')), size(field.get('z'))];
}

/**
 * How many bytes the params of a dispatch take: whole blocks of 16.
 * @param {number} count
 */
export function blockSize(count) {
  return Math.ceil(count / 4) * 16;
}

/**
 * @param {Field} field
 * @param {number} end
 */
function readTensor(field, end) {
  const dtype = field.get('dtype').raw;
  if (!isDType(dtype)) throw field.get('dtype').error('is unknown to this runtime');
  const size = field.get('size').integer(0, end);
  return { name: field.get('name').text(), dtype, size, offset: field.get('offset').integer(0, end - size) };
}

/**
 * The shaders' texts lie one behind the other and are all of the file.
 * @param {Pick<ShaderTable, 'shaders' | 'file'>} table
 * @param {Field} webgpu
 */
function checkText({ shaders, file }, webgpu) {
  const texts = shaders.flatMap((shader) => [shader, ...(shader.subgroups ? [shader.subgroups] : [])]);
  const end = texts.reduce((at, { from, to }) => (from === at && to > from ? to : NaN), 0);
  if (end !== file.size) throw webgpu.get('shaders').error(`are not the ${file.size} bytes of ${file.name}`);
}

/**
 * All that is written to the GPU or read from it must fit its region, at the largest sizes of the dims.
 * @param {ShaderTable} table
 * @param {Manifest} manifest
 * @param {Field} webgpu
 */
function checkPorts({ regions, tensors, tolerance }, { inputs, outputs, dims }, webgpu) {
  const largest = new Map(dims.map(({ name, max }) => [name, max]));
  /** @type {(name: string, dtype: string, count: number, half?: boolean) => void} */
  const fit = (name, dtype, count, half = false) => {
    const region = regions.get(name);
    const type = FLOATS.includes(dtype) ? 'f32' : WHOLE.includes(dtype) ? 'i32' : 'none';
    const fits = region?.type === type || (half && type === 'f32' && region?.type === 'f16');
    if (!region || !fits || !((region.type === 'f16' ? 2 : 4) * count <= region.size)) {
      throw webgpu.get('regions').error(`have no place for '${name}', ${count} elements of ${dtype}`);
    }
  };
  for (const { name, dtype, shape, lengths } of [...inputs, ...outputs]) {
    fit(name, dtype, product(evaluateShape(shape, largest)));
    for (const length of lengths) fit(length.name, 'int64', 1);
  }
  for (const { name, dtype, size } of tensors) {
    fit(name, dtype, size / ARRAYS[dtype].BYTES_PER_ELEMENT, tolerance > 0);
  }
}

