// Where a model begins: what the page asks for, what the bundle was exported for, and what cannot be met.

import { NeurenixError } from './errors.js';

/** @import { Manifest } from './internal.js' */
/** @import { LoadOptions } from './types.js' */

/**
 * `both` is WebAssembly, until a GPU has proved itself. `shortfall` is why it is not the GPU that was wanted.
 * Throws `unsupported` where the page settles for nothing less.
 * @param {Manifest} manifest
 * @param {LoadOptions} options
 * @returns {{ first: 'wasm' | 'webgpu' | 'both', shortfall?: NeurenixError }}
 */
export function chooseDevice(manifest, { device = 'auto', strict = false }) {
  const { name, webgpu, device: preferred } = manifest;
  if (device === 'wasm' || (device === 'auto' && preferred === 'wasm')) return { first: 'wasm' };
  const asked = device === 'webgpu' || preferred === 'webgpu';
  const reason = keptOff(manifest, strict);
  if (reason && (device === 'webgpu' || (asked && strict))) {
    throw new NeurenixError('unsupported', `'${name}' ${reason}. Use device: 'auto', which takes WebAssembly.`);
  }
  if (reason) {
    const shortfall = new NeurenixError('unsupported', `'${name}' runs on WebAssembly: it ${reason}.`);
    return { first: 'wasm', shortfall: asked || webgpu ? shortfall : undefined };
  }
  if (device === 'webgpu' || (asked && strict)) return { first: 'webgpu' };
  return { first: asked || webgpu?.get('auto').raw === true ? 'both' : 'wasm' };
}

/**
 * Why a model may not run on a GPU at all; an empty text when it may.
 * @param {Manifest} manifest
 * @param {boolean} strict
 */
function keptOff({ webgpu }, strict) {
  if (!webgpu) return 'was exported without shaders for WebGPU';
  const special = webgpu.get('special', '').text();
  return strict && special ? `needs NaN or infinities, which a GPU may ignore: ${special}` : '';
}
