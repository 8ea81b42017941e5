// The one error class, how a signal becomes one, and the words that messages share.

/** @import { ErrorCode } from './types.js' */

// Folders of models bring a copy of the runtime each; their errors know each other by this.
const MARK = Symbol.for('neurenix.error');

/** An error with a stable `code`, the same as in Python. Match on the code, not on the message. */
export class NeurenixError extends Error {
  /** @type {'NeurenixError'} */
  name = 'NeurenixError';

  /** @param {any} value */
  static [Symbol.hasInstance](value) {
    return this === NeurenixError ? value?.[MARK] === true : super[Symbol.hasInstance](value);
  }

  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {{ cause?: unknown }} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }

  get [MARK]() {
    return true;
  }
}

/**
 * The error for a signal that was aborted; an error of ours given as the reason stays itself.
 * @param {AbortSignal} signal
 */
export function abortError(signal) {
  const reason = signal.reason;
  if (reason instanceof NeurenixError) return reason;
  return new NeurenixError('aborted', 'The call was aborted by its signal.', { cause: reason });
}

/** @param {AbortSignal | null | undefined} signal */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw abortError(signal);
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

/**
 * A sentence that offers the likeliest of `names` for a mistyped one, and lists them.
 * @param {string} name
 * @param {readonly string[]} names
 */
export function didYouMean(name, names) {
  const close = names
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, candidate.length / 3))
    .sort((a, b) => a.distance - b.distance)[0];
  return close ? `Did you mean '${close.candidate}'?` : `Expected ${quoted(names)}.`;
}

/** @param {readonly string[]} names */
export function quoted(names) {
  return names.map((name) => `'${name}'`).join(', ');
}

/**
 * Levenshtein distance, one row at a time. Long names are cut: they come from the caller.
 * @param {string} a
 * @param {string} b
 */
function editDistance(a, b) {
  const [from, to] = [a.slice(0, 64), b.slice(0, 64)];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[to.length];
}
