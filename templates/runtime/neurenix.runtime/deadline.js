// A promise that may never settle, and how long it is waited for.

/**
 * What `promise` gives, or `late()`'s error after so many milliseconds. What it gives later is let go.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {() => Error} late
 * @returns {Promise<T>}
 */
export function within(promise, ms, late) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
