// Pixels to the values of a tensor and back. Nothing here draws.

/** @import { PictureLayout } from './types.js' */

/**
 * What a channel's value is made of its share of full brightness: (share - mean) / spread.
 * @typedef {{ text: string, mean: readonly number[], spread: readonly number[], channels?: number }} Scaling
 * @type {Record<string, Scaling>}
 */
export const SCALINGS = {
  unit: { text: '0 to 1', mean: [0], spread: [1] },
  signed: { text: '−1 to 1', mean: [0.5], spread: [0.5] },
  bytes: { text: '0 to 255', mean: [0], spread: [1 / 255] },
  imagenet: { text: 'ImageNet mean and spread', mean: [0.485, 0.456, 0.406], spread: [0.229, 0.224, 0.225], channels: 3 },
};

/**
 * The values of one picture, channels first or last as the layout has them.
 * @param {Uint8ClampedArray} rgba
 * @param {number} channels
 * @param {boolean} channelsLast
 * @param {Scaling} scaling
 */
export function toValues(rgba, channels, channelsLast, { mean, spread }) {
  const count = rgba.length / 4;
  const values = new Float32Array(count * channels);
  for (let channel = 0; channel < channels; channel++) {
    const offset = mean[channel % mean.length];
    const scale = spread[channel % spread.length];
    for (let i = 0; i < count; i++) {
      const byte = channels === 1 ? luma(rgba, i * 4) : rgba[i * 4 + channel];
      values[channelsLast ? i * channels + channel : channel * count + i] = (byte / 255 - offset) / scale;
    }
  }
  return values;
}

/**
 * Light for dark, in place; transparency stays.
 * @param {Uint8ClampedArray} rgba
 */
export function invert(rgba) {
  for (let i = 0; i < rgba.length; i++) if (i % 4 !== 3) rgba[i] = 255 - rgba[i];
}

/**
 * The pixels of a tensor that is a picture, and the range of values that was stretched from black to white.
 * Values from 0 to 1, from -1 to 1 and from 0 to 255 keep their meaning.
 * @param {ArrayLike<number>} values
 * @param {readonly number[]} shape
 * @param {PictureLayout} layout
 */
export function toPixels(values, shape, { channels, height, width }) {
  const [count, rows, columns] = [channels === null ? 1 : shape[channels], shape[height], shape[width]];
  const area = rows * columns;
  const last = channels !== null && channels > width;
  const [low, high] = range(values);
  const rgba = new Uint8ClampedArray(area * 4);
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 4; channel++) {
      const source = count === 1 ? 0 : channel;
      const value = values[last ? i * count + source : source * area + i];
      const opaque = channel === 3 && count < 4;
      rgba[i * 4 + channel] = opaque ? 255 : ((value - low) / (high - low)) * 255;
    }
  }
  return { rgba, rows, columns, low, high };
}

/** @param {ArrayLike<number>} values */
function range(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  const usual = [[0, 1], [-1, 1], [0, 255]].find(([a, b]) => low >= a - 0.01 && high <= b + 0.01);
  return usual ?? [low, high > low ? high : low + 1];
}

/**
 * Brightness as the eye weighs it (Rec. 601).
 * @param {Uint8ClampedArray} rgba
 * @param {number} at
 */
function luma(rgba, at) {
  return 0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2];
}
