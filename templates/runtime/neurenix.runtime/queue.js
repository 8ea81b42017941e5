// A queue of one: jobs run in the order they came, each after the one before has settled.

import { abortError, throwIfAborted } from './errors.js';

/** First in, first out. A job that fails does not disturb the next. */
export class Queue {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Run `job` when its turn comes. A signal takes it out of the queue; a job that has begun ends.
   * @template T
   * @param {() => T | Promise<T>} job
   * @param {AbortSignal} [signal]
   * @returns {Promise<T>}
   */
  push(job, signal) {
    const turn = this.#last.then(() => {
      throwIfAborted(signal);
      return job();
    });
    this.#last = turn.catch(() => {}); // the caller has `turn`; the next job only waits
    return abortable(turn, signal);
  }
}

/**
 * `promise`, or the signal's error as soon as it is aborted.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function abortable(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(abortError(signal));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
