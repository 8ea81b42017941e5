// A cursor over parsed JSON: takes values by type, and every error names the file and the place.

import { NeurenixError } from './errors.js';

export class Field {
  #file;
  #path;
  #value;

  /**
   * @param {string} file
   * @param {any} value
   * @param {string} [path]
   */
  constructor(file, value, path = '') {
    this.#file = file;
    this.#path = path;
    this.#value = value;
  }

  /**
   * The field `key`; `absent` stands in for one that is not there.
   * @param {string} key
   * @param {unknown} [absent]
   */
  get(key, absent) {
    const object = this.object();
    const value = Object.hasOwn(object, key) ? object[key] : absent;
    return new Field(this.#file, value, this.#path ? `${this.#path}.${key}` : key);
  }

  has(/** @type {string} */ key) {
    return Object.hasOwn(this.object(), key);
  }

  /** The value as it is, for those who look at its type themselves. */
  get raw() {
    return this.#value;
  }

  /** @returns {Record<string, any>} */
  object() {
    const value = this.#value;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.error('is no object');
    return value;
  }

  /**
   * @template T
   * @param {(item: Field) => T} read
   * @returns {T[]}
   */
  list(read, least = 0) {
    if (!Array.isArray(this.#value)) throw this.error('is no list');
    if (this.#value.length < least) throw this.error(`needs at least ${least} entry`);
    return this.#value.map((item, i) => read(new Field(this.#file, item, `${this.#path}[${i}]`)));
  }

  /** @returns {string} */
  text() {
    if (typeof this.#value !== 'string') throw this.error('is no text');
    return this.#value;
  }

  /** @returns {number} */
  number() {
    if (!Number.isFinite(this.#value)) throw this.error('is no number');
    return this.#value;
  }

  /** @returns {number} */
  integer(min = 0, max = Number.MAX_SAFE_INTEGER) {
    const value = this.#value;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw this.error(`is ${JSON.stringify(value)}, not a whole number from ${min} to ${max}`);
    }
    return value;
  }

  /** @param {string} problem */
  error(problem) {
    return new NeurenixError('bad_bundle', `${this.#file}: '${this.#path}' ${problem}. Export the model again.`);
  }
}
