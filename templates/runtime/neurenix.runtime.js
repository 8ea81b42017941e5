// The loader's public names. Every module is listed here, so that a browser fetches them in one round.

import './neurenix.runtime/dims.js';
import './neurenix.runtime/features.js';
import './neurenix.runtime/fetching.js';
import './neurenix.runtime/field.js';
import './neurenix.runtime/golden.js';
import './neurenix.runtime/inputs.js';
import './neurenix.runtime/integrity.js';
import './neurenix.runtime/manifest.js';
import './neurenix.runtime/model.js';
import './neurenix.runtime/wasm.js';

export { NeurenixError } from './neurenix.runtime/errors.js';
export { load } from './neurenix.runtime/load.js';
export { Tensor } from './neurenix.runtime/tensor.js';
