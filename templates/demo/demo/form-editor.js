// An input that is a few numbers: one field for each, with names, words and ranges where the model has them.

import { button, labelled, make, select } from './dom.js';
import { Problem } from './problem.js';
import { repeated, withMinus } from './sizes.js';
import { tableColumns } from './ways.js';

/** @import { Editor, EditorContext } from './types.js' */

const LONG_NAME = 40; // letters: a longer one gets a row of its own

/** @typedef {{ element: HTMLElement, read: () => number, fill: (value: () => number) => void, random: () => number }} Field */

/**
 * @param {EditorContext} context
 * @returns {Editor}
 */
export function formEditor({ input, id, sizes, layers, changed }) {
  const count = sizes.evaluate(input.shape.at(-1) ?? 1);
  const columns = tableColumns(layers, count);
  const isFloat = input.dtype.startsWith('float');
  const fields = Array.from({ length: count }, (_, i) => {
    const column = columns?.[i] ?? { name: count === 1 ? input.name : `${input.name} ${i + 1}`, words: [], range: null };
    const field = column.words.length ? wordField : numberField;
    return field(column, `${id}-${i}`, { isFloat, isBool: input.dtype === 'bool', changed });
  });
  /** @param {(field: Field) => void} change */
  const all = (change) => {
    fields.forEach(change);
    changed();
  };
  const actions = make('div', { className: 'actions' },
    button('Random', () => all((field) => field.fill(field.random)), { ariaLabel: `Random: ${input.name}` }),
    button(columns ? 'Reset' : 'Zeros', () => all((field) => field.fill(() => NaN)), {
      ariaLabel: `${columns ? 'Reset' : 'Zeros'}: ${input.name}`,
    }));
  return {
    element: make('div', {}, make('div', { className: 'fields' }, ...fields.map(({ element }) => element)), actions),
    claims: input.shape.filter((size) => typeof size === 'string'),
    read: (shape) => repeated(fields.map(({ read }) => read()), shape),
  };
}

/**
 * A category: its words by their index. NaN fills in the first.
 * @param {{ name: string, words: readonly string[] }} column
 * @param {string} id
 * @param {{ changed: () => void }} options
 * @returns {Field}
 */
function wordField({ name, words }, id, { changed }) {
  const control = select(words.map((word, i) => /** @type {const} */ ([String(i), word])), changed);
  return {
    element: labelled(name, control, id),
    read: () => Number(control.value),
    fill: (value) => { control.value = String(value() || 0); },
    random: () => Math.floor(Math.random() * words.length),
  };
}

/**
 * A number. NaN fills in the middle of its range, or 0.
 * @param {{ name: string, range: readonly [number, number] | null }} column
 * @param {string} id
 * @param {{ isFloat: boolean, isBool: boolean, changed: () => void }} options
 * @returns {Field}
 */
function numberField({ name, range }, id, { isFloat, isBool, changed }) {
  const [low, high] = range ?? (isBool ? [0, 1] : isFloat ? [-1, 1] : [0, 9]);
  // As many digits as tell the ends of the range apart.
  const digits = isFloat ? Math.max(0, 2 - Math.floor(Math.log10(Math.max(high - low, Number.MIN_VALUE)))) : 0;
  const rounded = (/** @type {number} */ value) => Number(value.toFixed(Math.min(digits, 20)));
  const middle = range ? rounded((low + high) / 2) : 0;
  const control = make('input', { type: 'number', step: isFloat ? 'any' : '1', required: true, inputMode: isFloat ? 'decimal' : 'numeric' });
  const known = `${withMinus(low)} to ${withMinus(high)} in training`;
  const remark = make('span', { textContent: range ? known : '' });
  const judge = () => {
    const outside = range !== null && (control.valueAsNumber < low || control.valueAsNumber > high);
    element.classList.toggle('outside', outside);
    remark.textContent = range ? `${outside ? 'Outside of ' : ''}${known}` : '';
  };
  control.addEventListener('input', judge);
  control.addEventListener('change', changed);
  const element = labelled(name, control, id, range ? remark : undefined);
  element.classList.toggle('long', name.length > LONG_NAME);
  const random = () => rounded(isFloat ? low + Math.random() * (high - low) : Math.floor(low + Math.random() * (high - low + 1)));
  control.value = String(range ? middle : random());
  return {
    element,
    read() {
      const value = control.valueAsNumber;
      const wrong = Number.isNaN(value) || (!isFloat && !Number.isInteger(value));
      control.ariaInvalid = String(wrong);
      if (wrong) {
        throw new Problem('bad_input', `“${name}” needs a ${isFloat ? '' : 'whole '}number, such as ${middle}.`, control);
      }
      return value;
    },
    fill(value) {
      const next = value();
      control.value = String(Number.isNaN(next) ? middle : next);
      judge();
    },
    random,
  };
}
