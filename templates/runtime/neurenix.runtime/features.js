// Which of a model's WebAssembly variants this engine can run.

import { NeurenixError } from './errors.js';

/** @import { Variant } from './internal.js' */

const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const V128 = 0x7b;

/**
 * A module with one function from `parameters` vectors to one, whose body gets them all and runs `code`.
 * @param {number} parameters
 * @param {...number} code
 */
function probe(parameters, ...code) {
  const gets = Array.from({ length: parameters }, (_, i) => [0x20, i]).flat();
  const body = [0, ...gets, ...code, 0x0b];
  const type = [1, 0x60, parameters, ...Array(parameters).fill(V128), 1, V128];
  return [...HEADER, 1, type.length, ...type, 3, 2, 1, 0, 10, body.length + 2, 1, body.length, ...body];
}

/** The smallest module that uses what each variant needs. */
const PROBES = new Map([
  ['relaxed', probe(3, 0xfd, 0x85, 0x02)], // f32x4.relaxed_madd
  ['simd', probe(2, 0xfd, 0xe6, 0x01)], // f32x4.mul
  ['scalar', HEADER],
]);

/** @param {string} variant */
export function supports(variant) {
  const bytes = PROBES.get(variant);
  return bytes !== undefined && WebAssembly.validate(Uint8Array.from(bytes));
}

/**
 * The first variant, in the manifest's order, that runs here.
 * @param {readonly Variant[]} variants
 */
export function chooseVariant(variants) {
  if (typeof WebAssembly === 'undefined') {
    throw new NeurenixError('unsupported', 'This browser has no WebAssembly, or a lockdown mode switched it off.');
  }
  const found = variants.find(({ name }) => supports(name));
  if (found) return found;
  const names = variants.map(({ name }) => name).join(', ');
  throw new NeurenixError('unsupported',
    `This browser runs none of the model's variants (${names}). Export it with the scalar variant.`);
}

/** Whether the page may compile WebAssembly at all: a content security policy can forbid it. */
export async function mayCompile() {
  return WebAssembly.compile(Uint8Array.from(HEADER)).then(() => true, () => false);
}
