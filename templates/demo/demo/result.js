// The raw result as a JSON file to keep.

import { make } from './dom.js';

/** @import { Model, Tensor } from '../../runtime/neurenix.runtime/types.js' */

/**
 * @param {Model} model
 * @param {Record<string, Tensor>} outputs
 * @param {number} milliseconds
 */
export function downloadResult(model, outputs, milliseconds) {
  const { name, device, variant, threads } = model;
  const values = Object.entries(outputs).map(([output, { dtype, shape }]) =>
    [output, { dtype, shape, values: outputs[output].toJSON() }]);
  const result = { model: name, device, variant, threads, milliseconds, outputs: Object.fromEntries(values) };
  const url = URL.createObjectURL(new Blob([JSON.stringify(result, null, 1)], { type: 'application/json' }));
  make('a', { href: url, download: `${name}-result.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // the browser reads it after the click
}
