// Model: what the page holds. It checks inputs, keeps calls in order, and leaves the running to a backend.

import { evaluateShape } from './dims.js';
import { abortable, NeurenixError, throwIfAborted } from './errors.js';
import { goldenCall, goldenError } from './golden.js';
import { bindInputs } from './inputs.js';
import { allocate, product, Tensor } from './tensor.js';

/** @import { Call, Manifest, Port } from './internal.js' */
/** @import { ArrayTypes, DType, ForwardOptions, Nested, TensorInfo } from './types.js' */
/** @import { Model as PublicModel } from './types.js' */
/** @import { WasmBackend } from './wasm.js' */

/** @implements {PublicModel} */
export class Model {
  #manifest;
  /** @type {WasmBackend | null} */
  #backend;
  #queue = new Queue();

  /**
   * @param {Manifest} manifest
   * @param {WasmBackend} backend
   */
  constructor(manifest, backend) {
    this.#manifest = manifest;
    this.#backend = backend;
    this.name = manifest.name;
    this.inputs = manifest.inputs.map(describePort);
    this.outputs = manifest.outputs.map(describePort);
    this.dims = manifest.dims;
    this.labels = manifest.labels;
    this.layers = manifest.layers;
    this.device = backend.device;
    this.variant = backend.variant;
    this.threads = backend.threads;
    Object.freeze(this);
  }

  /**
   * @param {unknown} inputs
   * @param {ForwardOptions} [options]
   * @returns {Promise<Record<string, Tensor>>}
   */
  async forward(inputs, options) {
    this.#alive();
    throwIfAborted(options?.signal);
    return this.#run(bindInputs(inputs, this.#manifest), options);
  }

  /**
   * @template {DType} [D='float32']
   * @param {readonly number[]} shape
   * @param {ArrayTypes[D] | readonly Nested[]} data
   * @returns {Tensor<D>}
   */
  createTensor(shape, data) {
    return new Tensor(shape, data);
  }

  /** @param {ForwardOptions} [options] */
  async selfTest(options) {
    this.#alive();
    const cases = [];
    for (const golden of this.#manifest.golden) {
      const answers = await this.#run(goldenCall(golden, this.#manifest.inputs), options);
      const maxError = goldenError(golden, answers);
      const { tolerance } = golden;
      const dims = Object.fromEntries(golden.dims);
      cases.push({ dims, passed: maxError <= tolerance, maxError, tolerance });
    }
    return {
      passed: cases.length > 0 && cases.every(({ passed }) => passed),
      maxError: Math.max(0, ...cases.map(({ maxError }) => maxError)),
      cases,
    };
  }

  /** @param {ForwardOptions} [options] */
  async warmup(options) {
    this.#alive();
    const dims = new Map(this.dims.map(({ name, min }) => [name, min]));
    const sizes = this.inputs.map(({ shape }) => product(evaluateShape(shape, dims)));
    const arrays = this.inputs.map(({ dtype }, i) => allocate(dtype, sizes[i]));
    await this.#run({ dims, arrays }, options);
  }

  dispose() {
    this.#backend = null;
  }

  /**
   * @param {Call} call
   * @param {ForwardOptions} [options]
   */
  #run(call, options) {
    return this.#queue.push(() => this.#alive().run(call), options?.signal);
  }

  #alive() {
    if (this.#backend) return this.#backend;
    throw new NeurenixError('disposed', `The model '${this.name}' was disposed of. Load it again.`);
  }
}

/**
 * A port without what only the memory plan needs.
 * @param {Port} port
 * @returns {TensorInfo}
 */
function describePort({ name, dtype, shape }) {
  return Object.freeze({ name, dtype, shape });
}

/** First in, first out. A job that fails does not disturb the next. */
class Queue {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * Run `job` when its turn comes. A signal takes it out of the queue; a job that has begun ends.
   * @template T
   * @param {() => T | Promise<T>} job
   * @param {AbortSignal} [signal]
   * @returns {Promise<T>}
   */
  push(job, signal) {
    const turn = this.#last.then(() => {
      throwIfAborted(signal);
      return job();
    });
    this.#last = turn.catch(() => {}); // the caller has `turn`; the next job only waits
    return abortable(turn, signal);
  }
}
