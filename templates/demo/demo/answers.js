// The answer: bars for scores, a number, a picture, or many numbers.

import { make } from './dom.js';
import { toPixels } from './picture.js';
import { pictureLayout } from './ways.js';

/** @import { Model, Tensor } from '../../runtime/neurenix.runtime/types.js' */

const MOST_BARS = 32; // a longer vector, or more rows than the next, is shown as numbers
const MOST_ROWS = 8;
const MOST_RANKED = 10; // of many labels, the best
const MOST_NUMBERS = 400;

/**
 * One output: its name and a view of its values.
 * @param {string} name
 * @param {Tensor} tensor
 * @param {readonly string[] | null} labels names for the last axis
 */
export function answerView(name, tensor, labels) {
  const { shape, dtype } = tensor;
  const values = numbersOf(tensor);
  const heading = make('h3', {}, make('span', { textContent: name }), ' ', make('code', { textContent: `${dtype}[${shape.join(', ')}]` }));
  return make('article', { id: `output-${name}` }, heading, ...views(values, tensor, labels));
}

/**
 * The values in row-major order, as numbers.
 * @param {Tensor} tensor
 * @returns {number[]}
 */
function numbersOf(tensor) {
  return /** @type {any[]} */ ([tensor.toArray()]).flat(Infinity).map(Number);
}

/**
 * One sentence for those who hear the page.
 * @param {Model} model
 * @param {Record<string, Tensor>} outputs
 */
export function spoken(model, outputs) {
  const { name } = model.outputs[0];
  const values = numbersOf(outputs[name]);
  if (values.length === 1) return `${name}: ${short(values[0])}`;
  const first = values.slice(0, model.labels?.length);
  const highest = Math.max(...first);
  const label = model.labels?.[first.indexOf(highest)];
  return label === undefined ? `${model.name} has answered.` : `${label}: ${written(highest, isShare(first))}`;
}

/**
 * @param {number[]} values
 * @param {Tensor} tensor
 * @param {readonly string[] | null} labels
 * @returns {HTMLElement[]}
 */
function views(values, { shape, dtype }, labels) {
  if (values.length === 0) return [make('p', { className: 'note' }, 'Nothing: this answer is empty.')];
  if (values.length === 1 && !labels) return [make('p', { className: 'number', textContent: short(values[0]) })];
  const layout = labels ? null : pictureLayout({ dtype, shape });
  if (layout) return [pictureView(values, shape, layout), numbersView(values, false)];
  const width = shape.at(-1) ?? 1;
  const rows = values.length / width;
  if ((width > MOST_BARS && !labels) || rows > MOST_ROWS) return [numbersView(values)];
  const each = Array.from({ length: rows }, (_, row) => values.slice(row * width, (row + 1) * width));
  const headline = rows === 1 && labels && isShare(values) ? [best(values, labels)] : [];
  if (width <= MOST_BARS) return [...headline, ...each.map((row) => bars(row, labels))];
  const ranked = each.map((row) => {
    const order = row.map((_, i) => i).sort((a, b) => row[b] - row[a]).slice(0, MOST_RANKED);
    return bars(order.map((i) => row[i]), order.map((i) => labels?.[i] ?? String(i)), isShare(row));
  });
  return [...headline, ...ranked, numbersView(values, false)];
}

/**
 * The likeliest label, large.
 * @param {readonly number[]} values
 * @param {readonly string[]} labels
 */
function best(values, labels) {
  const highest = Math.max(...values);
  const label = labels[values.indexOf(highest)];
  return make('p', { className: 'number' }, make('span', { textContent: label }), ' ', make('small', { textContent: written(highest, true) }));
}

/** @param {readonly number[]} values */
function isShare(values) {
  return values.every((v) => v >= 0) && Math.abs(values.reduce((a, b) => a + b, 0) - 1) < 1e-3;
}

/** @param {number} value */
export const short = (value) => String(Number(value.toPrecision(5))).replace('-', '−');

/**
 * @param {number} value
 * @param {boolean} share
 */
const written = (value, share) => (share ? `${(value * 100).toFixed(1)} %` : short(value));

/**
 * Values as bars from a common zero. Shares of a whole are shown as per cent.
 * @param {readonly number[]} values
 * @param {readonly string[] | null} labels
 * @param {boolean} [share]
 */
function bars(values, labels, share = isShare(values)) {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = share ? 1 : Math.max(0, ...finite);
  const span = high - low || 1;
  const winner = values.indexOf(Math.max(...finite));
  const list = make('ol', { className: 'bars' });
  values.forEach((value, i) => {
    const bar = make('span', { className: 'bar' });
    if (Number.isFinite(value)) {
      bar.style.setProperty('--from', String((Math.min(0, value) - low) / span));
      bar.style.setProperty('--size', String(Math.abs(value) / span));
    }
    list.append(make('li', { className: i === winner ? 'best' : '' },
      make('span', { className: 'label', textContent: labels?.[i] ?? String(i) }),
      make('span', { className: 'value', textContent: written(value, share) }),
      make('span', { className: 'track', ariaHidden: 'true' }, bar)));
  });
  return list;
}

/**
 * @param {readonly number[]} values
 * @param {readonly number[]} shape
 * @param {NonNullable<ReturnType<typeof pictureLayout>>} layout
 */
function pictureView(values, shape, layout) {
  const { rgba, rows, columns, low, high } = toPixels(values, shape, layout);
  const canvas = make('canvas', { className: 'answer', width: columns, height: rows, role: 'img', ariaLabel: 'The answer as a picture' });
  canvas.getContext('2d')?.putImageData(new ImageData(rgba, columns, rows), 0, 0);
  const caption = `${columns} × ${rows} pixels; black is ${short(low)}, white is ${short(high)}`;
  return make('figure', {}, canvas, make('figcaption', { textContent: caption }));
}

/**
 * @param {readonly number[]} values
 * @param {boolean} [open] whether they are all that is shown
 */
function numbersView(values, open = values.length <= MOST_NUMBERS) {
  const [low, high, sum] = values.reduce(([a, b, c], v) => [Math.min(a, v), Math.max(b, v), c + v], [Infinity, -Infinity, 0]);
  const summary = `${values.length} values from ${short(low)} to ${short(high)}, mean ${short(sum / values.length)}`;
  const rest = values.length > MOST_NUMBERS ? `… ${values.length - MOST_NUMBERS} more` : '';
  const texts = values.slice(0, MOST_NUMBERS).map((v) => String(Number(v.toPrecision(6))));
  const numbers = make('div', { className: 'numbers', tabIndex: 0, role: 'group', ariaLabel: 'The values' });
  numbers.style.setProperty('--widest', `${Math.max(...texts.map(({ length }) => length))}ch`);
  numbers.append(...texts.flatMap((text) => [make('span', { textContent: text }), ' ']), rest);
  return make('details', { open }, make('summary', { textContent: summary }), numbers);
}
