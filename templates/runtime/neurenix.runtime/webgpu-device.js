// The page's GPU device: one for all models, also of other copies of this runtime, as long as its limits do.

import { within } from './deadline.js';
import { NeurenixError } from './errors.js';
import { message } from './gpu-tensor.js';

/** @import { HeldDevice } from './internal.js' */


const LOSS_MS = 500;
/** What a device must have for float16, and to read a neighbour's value; each gets what it can. */
export const HALF = 'shader-f16';
export const SUBGROUPS = 'subgroups';
const WANTED = /** @type {const} */ ([HALF, SUBGROUPS]);

/** @type {{ held: HeldDevice[], turn: Promise<unknown> }} */
const page = /** @type {any} */ (globalThis)[Symbol.for('neurenix.gpu.1')] ??= { held: [], turn: Promise.resolve() };

/**
 * A device that gives these limits.
 * @param {Readonly<Record<string, number>>} limits
 * @param {{ software: boolean, deadline: number }} options whether an adapter that is no GPU will do
 * @returns {Promise<HeldDevice>}
 */
export function requestDevice(limits, options) {
  const found = page.turn.then(() => find(limits, options));
  page.turn = found.catch(() => {}); // one after the other: the second model takes what the first one got
  return found;
}

/**
 * @param {Readonly<Record<string, number>>} limits
 * @param {{ software: boolean, deadline: number }} options
 */
async function find(limits, { software, deadline }) {
  const shared = page.held.find((held) => !held.lost && lacking(held.device.limits, limits) === undefined
    && (software || !held.software));
  if (shared) return shared;
  const gpu = globalThis.navigator?.gpu;
  if (!gpu) {
    throw unavailable(globalThis.isSecureContext === false
      ? 'a page on plain HTTP has no WebGPU: serve it by https'
      : 'this browser has no WebGPU, or has switched it off');
  }
  const late = () => unavailable(`the browser gave no device within ${deadline / 1000} seconds`);
  try {
    const adapter = await within(gpu.requestAdapter({ powerPreference: 'high-performance' }), deadline, late);
    if (!adapter) throw unavailable('the browser has no adapter for WebGPU: its driver may be missing or blocked');
    const info = adapter.info ?? {};
    const isSoftware = info.isFallbackAdapter ?? /** @type {any} */ (adapter).isFallbackAdapter ?? false;
    const name = [info.vendor, info.architecture, info.description].filter(Boolean).join(' ') || 'unknown';
    if (isSoftware && !software) throw unavailable(`the only adapter, ${name}, is software and no GPU`);
    const missing = lacking(adapter.limits, limits);
    if (missing) {
      throw unavailable(`${name} gives ${missing} = ${/** @type {any} */ (adapter.limits)[missing]}; `
        + `the model needs ${limits[missing]}`);
    }
    const requiredFeatures = WANTED.filter((feature) => adapter.features.has(feature));
    const device = await within(
      adapter.requestDevice({ label: 'neurenix', requiredFeatures, requiredLimits: { ...limits } }), deadline, late);
    return hold(device, name, isSoftware);
  } catch (cause) {
    if (cause instanceof NeurenixError) throw cause;
    throw unavailable(`the browser gave no device: ${message(cause)}`, cause);
  }
}

/**
 * @param {GPUDevice} device
 * @param {string} adapter
 * @param {boolean} software
 * @returns {HeldDevice}
 */
function hold(device, adapter, software) {
  const held = { device, adapter, software, lost: '' };
  page.held.push(held);
  device.lost.then(({ reason, message: text }) => {
    held.lost = `the GPU device was lost (${reason || 'unknown'}): ${message(text)}`;
    page.held = page.held.filter((other) => other !== held);
  });
  return held;
}

/**
 * Whether a device is lost, once those that hear of it have had a moment to.
 * @param {HeldDevice} held
 */
export async function isLost(held) {
  const moment = new Promise((resolve) => setTimeout(resolve, LOSS_MS));
  await Promise.race([held.device.lost, moment]);
  return held.lost !== '';
}

/**
 * The first limit that is not met, if any.
 * @param {any} limits
 * @param {Readonly<Record<string, number>>} needed
 */
function lacking(limits, needed) {
  return Object.keys(needed).find((name) => !(limits[name] >= needed[name]));
}

/**
 * @param {string} reason
 * @param {unknown} [cause]
 */
function unavailable(reason, cause) {
  return new NeurenixError('device_unavailable', `WebGPU cannot be used: ${reason}.`, { cause });
}
