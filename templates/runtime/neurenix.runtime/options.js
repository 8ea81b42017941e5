// The options of a call: each is one that the call knows, and of its type.

import { didYouMean, NeurenixError } from './errors.js';
import { describe } from './tensor.js';

/**
 * Refuse options that would be ignored. What an object inherits counts too: a signal in their place is found.
 * @param {unknown} options
 * @param {Readonly<Record<string, string>>} known the type of each, as `typeof` says it
 * @param {string} example of a call that has options
 */
export function checkOptions(options, known, example) {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null) {
    throw new NeurenixError('bad_input', `The options are an object: ${example}, not ${describe(options)}.`);
  }
  for (const name in options) {
    if (!Object.hasOwn(known, name)) {
      throw new NeurenixError('bad_input',
        `There is no option '${name}': ${example}. ${didYouMean(name, Object.keys(known))}`);
    }
    const value = /** @type {Record<string, unknown>} */ (options)[name];
    if (value !== undefined && typeof value !== known[name]) {
      throw new NeurenixError('bad_input', `options.${name} must be of type ${known[name]}, not ${describe(value)}.`);
    }
  }
}
