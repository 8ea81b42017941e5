// How an input may be given and what an output is, guessed from its dtype, its shape and its name.

/** @import { Layer, Size, TensorInfo } from '../../runtime/neurenix.runtime/types.js' */
/** @import { PictureLayout, Way } from './types.js' */
/** @import { Sizes } from './sizes.js' */

const MOST_FIELDS = 64;
const LEAST_SIDE = 8; // less is no picture
const LEAST_SOUND = 1000; // samples: less is no sound
const COMPANION = /mask|type_ids|position/;

/** @type {Record<Way, string>} */
export const WAY_NAMES = { picture: 'Picture', form: 'Form', tokens: 'List of ids', sound: 'Sound', values: 'Values' };

const isFloat = (/** @type {string} */ dtype) => dtype.startsWith('float');
const isChannels = (/** @type {Size} */ size) => size === 1 || size === 3 || size === 4;
const isSide = (/** @type {Size} */ size) => typeof size !== 'number' || size >= LEAST_SIDE;
/** A leading axis that may hold one sample. */
const isBatch = (/** @type {Size | undefined} */ size) => size === undefined || size === 1 || typeof size === 'string';

/**
 * The axes of a picture, or null when the tensor is none.
 * @param {Pick<TensorInfo, 'dtype' | 'shape'>} info
 * @returns {PictureLayout | null}
 */
export function pictureLayout({ dtype, shape }) {
  if (!isFloat(dtype) && dtype !== 'uint8') return null;
  const first = shape.length - 3;
  if (first < 0 || first > 1 || (first === 1 && !isBatch(shape[0]))) return null;
  const [a, b, c] = shape.slice(-3);
  // Without a batch, symbolic sides could be anything; with one, four axes are a picture's.
  const sides = (/** @type {Size} */ x, /** @type {Size} */ y) =>
    isSide(x) && isSide(y) && (first === 1 || (typeof x === 'number' && typeof y === 'number'));
  if (isChannels(a) && sides(b, c)) return { channels: first, height: first + 1, width: first + 2 };
  if (isChannels(c) && sides(a, b)) return { channels: first + 2, height: first, width: first + 1 };
  if (first === 0 && isBatch(a) && typeof b === 'number' && b >= 2 * LEAST_SIDE && b === c) {
    return { channels: null, height: 1, width: 2 };
  }
  return null;
}

/**
 * The ways to give an input, the likeliest first.
 * @param {TensorInfo} input
 * @param {Sizes} sizes
 * @returns {Way[]}
 */
export function waysToGive(input, sizes) {
  const { name, dtype, shape } = input;
  const last = shape.at(-1) ?? 1;
  const leading = shape.slice(0, -1);
  /** @type {Way[]} */
  const ways = [];
  if (pictureLayout(input)) ways.push('picture');
  const flat = leading.length <= 1 && isBatch(leading[0]);
  if (flat && typeof last === 'number' && last <= MOST_FIELDS && !COMPANION.test(name)) ways.push('form');
  const longest = typeof last === 'string' ? sizes.range(last).max : last;
  const oneTrack = leading.length <= 2 && isBatch(leading[0]) && (leading.length < 2 || leading[1] === 1);
  if (isFloat(dtype) && oneTrack && typeof longest === 'number' && longest >= LEAST_SOUND) ways.push('sound');
  if (/^u?int(32|64)$/.test(dtype) && flat && typeof last === 'string' && !COMPANION.test(name)) ways.push('tokens');
  return [...ways, 'values'];
}

/**
 * What fills an input's box at first. A mask lets everything through.
 * @param {TensorInfo} input
 * @returns {'random' | 'ones' | 'zeros' | 'count'}
 */
export function firstFill({ name }) {
  if (/mask/.test(name)) return 'ones';
  if (/type_ids/.test(name)) return 'zeros';
  return /position/.test(name) ? 'count' : 'random';
}

/**
 * How many different ids the model knows, when its architecture says so.
 * @param {readonly Layer[]} layers
 */
export function vocabularySize(layers) {
  const count = layers.find(({ type }) => type === 'Embedding')?.config.num_embeddings;
  return typeof count === 'number' && count > 0 ? count : null;
}

/**
 * The columns of a declared model's table: what each is called, its words, and what it spanned in training.
 * @param {readonly Layer[]} layers
 * @param {number} count
 * @returns {{ name: string, words: string[], range: [number, number] | null }[] | null}
 */
export function tableColumns(layers, count) {
  const table = layers[0];
  if (table?.type !== 'TableFeatures') return null;
  const { features, categories, ranges } = /** @type {Record<string, any>} */ (table.config);
  if (!Array.isArray(features) || features.length !== count) return null;
  return features.map((name, i) => {
    const words = Array.isArray(categories?.[i]) ? categories[i].map(String) : [];
    const [low, high] = ranges?.[i] ?? [];
    const known = Number.isFinite(low) && Number.isFinite(high);
    return { name: String(name), words, range: known ? /** @type {[number, number]} */ ([low, high]) : null };
  });
}
