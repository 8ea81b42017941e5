// Sizes: what they are worth, how they are written, and the panel that asks for those that nothing decides.

import { labelled, make } from './dom.js';
import { Problem } from './problem.js';

/** @import { Dim, Size, TensorInfo } from '../../runtime/neurenix.runtime/types.js' */

const OPERATORS = {
  '+': (/** @type {number} */ a, /** @type {number} */ b) => a + b,
  '*': (/** @type {number} */ a, /** @type {number} */ b) => a * b,
  '//': (/** @type {number} */ a, /** @type {number} */ b) => Math.floor(a / b),
  max: Math.max,
  min: Math.min,
};

/** @param {readonly number[]} shape */
export const product = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * @param {Size} size
 * @returns {string}
 */
function show(size) {
  if (typeof size === 'number' || typeof size === 'string') return String(size);
  const [operator, a, b] = [size[0], show(size[1]), show(size[2])];
  return operator.length === 3 ? `${operator}(${a}, ${b})` : `(${a} ${operator} ${b})`;
}

/**
 * A number as it is written in a text.
 * @param {number} value
 */
export const withMinus = (value) => String(value).replace(/^-/, '−');

/** @param {{ dtype: string, shape: readonly Size[] }} info */
export const signature = ({ dtype, shape }) => `${dtype}[${shape.map(show).join(', ')}]`;

/** The size of every dim at this moment. */
export class Sizes {
  #dims;
  /** @type {Map<string, number>} */
  #values;
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {readonly Dim[]} dims */
  constructor(dims) {
    this.#dims = new Map(dims.map((dim) => [dim.name, dim]));
    this.#values = new Map(dims.map(({ name, min, max }) => [name, Math.min(Math.max(min, 1), max)]));
  }

  /** @param {string} name */
  range(name) {
    const dim = this.#dims.get(name);
    if (!dim) throw new Error(`no dim '${name}'`);
    return dim;
  }

  /** @param {string} name */
  get(name) {
    return this.#values.get(name) ?? NaN;
  }

  /**
   * Set a dim, as near to `size` as the model allows.
   * @param {string} name
   * @param {number} size
   */
  set(name, size) {
    const { min, max } = this.range(name);
    const value = Math.min(Math.max(size, min), max);
    if (value === this.get(name)) return;
    this.#values.set(name, value);
    for (const listener of this.#listeners) listener();
  }

  /**
   * @param {Size} size
   * @returns {number}
   */
  evaluate(size) {
    if (typeof size === 'number') return size;
    if (typeof size === 'string') return this.get(size);
    return OPERATORS[size[0]](this.evaluate(size[1]), this.evaluate(size[2]));
  }

  /** @param {TensorInfo} info */
  shape({ shape }) {
    return shape.map((size) => this.evaluate(size));
  }

  /**
   * Call `listener` after every change; returns what ends that.
   * @param {() => void} listener
   */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/**
 * Show a field for each dim that no editor decides.
 * @param {HTMLElement} panel
 * @param {readonly Dim[]} dims
 * @param {Sizes} sizes
 * @param {ReadonlySet<string>} claimed
 */
export function showSizes(panel, dims, sizes, claimed) {
  const open = dims.filter(({ name, min, max }) => min !== max && !claimed.has(name));
  panel.replaceChildren(...open.map(({ name, min, max }) => {
    const field = make('input', {
      type: 'number', min: String(min), max: String(max), step: '1', value: String(sizes.get(name)), inputMode: 'numeric',
    });
    field.addEventListener('change', () => {
      if (Number.isInteger(field.valueAsNumber)) sizes.set(name, field.valueAsNumber);
      field.value = String(sizes.get(name));
    });
    return labelled(name, field, `dim-${name}`, `${min} to ${max}`);
  }));
}

/**
 * Repeat what was given for one sample along the axes before it.
 * @template {readonly (number | string)[] | Float32Array} V
 * @param {V} values
 * @param {readonly number[]} shape
 * @returns {V | (number | string)[]}
 */
export function repeated(values, shape) {
  const count = product(shape);
  if (count === values.length) return values;
  if (count % values.length) throw new Problem('bad_input', `${values.length} values do not fill ${count}.`);
  return Array.from({ length: count / values.length }, () => [...values]).flat();
}
