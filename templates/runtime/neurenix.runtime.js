// The loader's public names. Every module is listed here, so that a browser fetches them in one round;
// those of WebGPU are not: load.js and placement.js fetch them when a GPU is wanted.

import './neurenix.runtime/deadline.js';
import './neurenix.runtime/device-choice.js';
import './neurenix.runtime/dims.js';
import './neurenix.runtime/features.js';
import './neurenix.runtime/fetching.js';
import './neurenix.runtime/field.js';
import './neurenix.runtime/golden.js';
import './neurenix.runtime/gpu-tensor.js';
import './neurenix.runtime/half.js';
import './neurenix.runtime/inputs.js';
import './neurenix.runtime/integrity.js';
import './neurenix.runtime/lengths.js';
import './neurenix.runtime/manifest.js';
import './neurenix.runtime/model.js';
import './neurenix.runtime/options.js';
import './neurenix.runtime/placement.js';
import './neurenix.runtime/wasm.js';

export { NeurenixError } from './neurenix.runtime/errors.js';
export { load } from './neurenix.runtime/load.js';
export { Tensor } from './neurenix.runtime/tensor.js';
