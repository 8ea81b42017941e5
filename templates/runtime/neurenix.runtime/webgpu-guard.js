// Guard: no work on a GPU is believed before WebGPU is silent about it, in time and on a device that lives.

import { within } from './deadline.js';
import { NeurenixError } from './errors.js';
import { message, scoped } from './gpu-tensor.js';

/** @import { HeldDevice } from './internal.js' */

/** How often, and every how many milliseconds, the browser is made to look whether a GPU is done. */
const NUDGES = 4;
const NUDGE_MS = 1;

export class Guard {
  #model;
  #held;
  #deadline;
  /** Whether the model was disposed of: what fails then is no fault of the GPU. */
  closed = false;

  /**
   * @param {string} model
   * @param {HeldDevice} held
   * @param {number} deadline
   */
  constructor(model, held, deadline) {
    this.#model = model;
    this.#held = held;
    this.#deadline = deadline;
  }

  close() {
    this.closed = true;
  }

  /**
   * Do some work inside error scopes, and give what it gave once they are silent and its `mapped` has come.
   * @template T
   * @param {string} what failed, if it does
   * @param {() => T} work
   * @param {() => void} [unmap] lets go of what was mapped for work that failed
   * @returns {Promise<T>}
   */
  async checked(what, work, unmap) {
    if (this.closed || this.#held.lost) throw this.failure(what, this.#held.lost);
    const { result, problem } = this.#begin(what, work);
    const { mapped } = /** @type {{ mapped?: Promise<void> }} */ (result ?? {});
    mapped?.catch(() => {}); // it is awaited below, unless the deadline passes
    if (mapped) nudge(this.#held.device, mapped);
    try {
      const [error] = await this.within(what, Promise.all([problem, mapped]));
      if (error || this.#held.lost) {
        unmap?.();
        throw this.failure(what, this.#held.lost || message(error), error);
      }
      return result;
    } catch (cause) {
      if (cause instanceof NeurenixError) throw cause;
      throw this.failure(what, this.#held.lost || message(cause), cause);
    }
  }

  /**
   * What `promise` gives within the deadline.
   * @template T
   * @param {string} what failed, if it does not
   * @param {Promise<T>} promise
   */
  within(what, promise) {
    return within(promise, this.#deadline, () => {
      const reason = `the GPU did not answer within ${this.#deadline / 1000} seconds`;
      this.#held.lost ||= reason;
      this.#held.device.destroy(); // it hangs and is no use to anybody; this rejects what waits for it
      return this.failure(what, reason);
    });
  }

  /**
   * @param {string} what
   * @param {string} reason
   * @param {unknown} [cause]
   */
  failure(what, reason, cause) {
    if (this.closed) return new NeurenixError('disposed', `The model '${this.#model}' was disposed of.`);
    return new NeurenixError('run_failed', `${this.#model} on WebGPU: ${what}: ${reason}.`, { cause });
  }

  /**
   * @template T
   * @param {string} what
   * @param {() => T} work
   */
  #begin(what, work) {
    try {
      return scoped(this.#held.device, work);
    } catch (cause) {
      throw cause instanceof NeurenixError ? cause : this.failure(what, message(cause), cause);
    }
  }
}

/**
 * Make the browser look whether what it was given is done. Chromium does when a device is told anything, and
 * otherwise every 2 ms, which a small model need not take.
 * @param {GPUDevice} device
 * @param {Promise<void>} mapped
 */
function nudge(device, mapped) {
  let left = NUDGES;
  const tell = () => {
    device.pushErrorScope('internal'); // the least that there is to tell
    device.popErrorScope().catch(() => {}); // what fails is heard of where it is awaited
    left -= 1;
    if (left) timer = setTimeout(tell, NUDGE_MS);
  };
  let timer = setTimeout(tell, NUDGE_MS);
  const stop = () => clearTimeout(timer);
  mapped.then(stop, stop);
}
