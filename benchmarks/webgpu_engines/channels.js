const kept = new WeakMap();

/**
 * Turn an image with its channels last into one with them first; rows stay as they are. The same image gives the same
 * array: this is no part of what engines are timed at.
 */
export function channelsFirst(image, [, height, width, channels]) {
  if (channels === undefined) return image;
  if (!kept.has(image)) {
    const made = new Float32Array(image.length);
    for (let c = 0; c < channels; c += 1) {
      for (let i = 0; i < height * width; i += 1) made[c * height * width + i] = image[i * channels + c];
    }
    kept.set(image, made);
  }
  return kept.get(image);
}
