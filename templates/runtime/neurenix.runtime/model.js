// Model: what the page holds. It checks inputs, keeps calls in order, and leaves the running to a backend.

import { evaluateShape } from './dims.js';
import { abortable, NeurenixError, throwIfAborted } from './errors.js';
import { goldenCall, goldenError } from './golden.js';
import { GpuTensor, isBuffer } from './gpu-tensor.js';
import { bindInputs } from './inputs.js';
import { checkOptions } from './options.js';
import { allocate, product, Tensor } from './tensor.js';

/** @import { Call, Manifest, Port } from './internal.js' */
/** @import { DType, ForwardOptions, TensorInfo } from './types.js' */
/** @import { Model as PublicModel } from './types.js' */
/** @import { Placement } from './placement.js' */

const FORWARD_OPTIONS = { signal: 'object', keep: 'boolean' };
/** @type {Record<keyof ForwardOptions, string>} */
const OPTIONS = { signal: 'object' };

/** @implements {PublicModel} */
export class Model {
  #manifest;
  #placement;
  #disposed = false;
  #queue = new Queue();

  /**
   * @param {Manifest} manifest
   * @param {Placement} placement
   */
  constructor(manifest, placement) {
    this.#manifest = manifest;
    this.#placement = placement;
    this.name = manifest.name;
    this.inputs = manifest.inputs.map(describePort);
    this.outputs = manifest.outputs.map(describePort);
    this.dims = manifest.dims;
    this.labels = manifest.labels;
    this.layers = manifest.layers;
    this.settled = placement.settled;
    Object.freeze(this);
  }

  get device() {
    return this.#placement.device;
  }

  get variant() {
    return this.#placement.variant;
  }

  get threads() {
    return this.#placement.threads;
  }

  get gpu() {
    return this.#placement.gpu;
  }

  /**
   * @param {unknown} inputs
   * @param {ForwardOptions & { keep?: boolean }} [options]
   * @returns {Promise<any>}
   */
  async forward(inputs, options) {
    this.#alive();
    checkOptions(options, FORWARD_OPTIONS, 'forward(inputs, { signal })');
    throwIfAborted(options?.signal);
    return this.#run(bindInputs(inputs, this.#manifest), options);
  }

  /**
   * @param {readonly number[]} shape
   * @param {any} data
   * @param {DType} [dtype] `data`'s own, or float32 for plain numbers, unless given
   * @returns {any}
   */
  createTensor(shape, data, dtype) {
    if (!isBuffer(data)) return new Tensor(shape, data, dtype);
    const { gpu } = this.#placement;
    if (gpu) return new GpuTensor(shape, data, dtype ?? 'float32', gpu.device);
    throw new NeurenixError('bad_input', `The model '${this.name}' runs on ${this.device}, which reads no GPU buffers.`);
  }

  /** @param {ForwardOptions} [options] */
  async selfTest(options) {
    this.#alive();
    checkOptions(options, OPTIONS, 'selfTest({ signal })');
    const cases = [];
    for (const golden of this.#manifest.golden) {
      const call = goldenCall(golden, this.#manifest.inputs);
      const { signal } = options ?? {};
      const answers = /** @type {Record<string, Tensor>} */ (await this.#run(call, { signal }));
      const maxError = goldenError(golden, answers, this.#manifest.outputs);
      const tolerance = Math.max(golden.tolerance, this.#placement.tolerance);
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
    checkOptions(options, OPTIONS, 'warmup({ signal })');
    const dims = new Map(this.dims.map(({ name, min }) => [name, min]));
    const sizes = this.inputs.map(({ shape }) => product(evaluateShape(shape, dims)));
    const arrays = this.inputs.map(({ dtype }, i) => allocate(dtype, sizes[i]));
    await this.#run({ dims, arrays }, options);
  }

  dispose() {
    this.#disposed = true;
    this.#placement.dispose();
  }

  /**
   * @param {Call} call
   * @param {ForwardOptions & { keep?: boolean }} [options]
   */
  #run(call, options) {
    return this.#queue.push(() => this.#alive().run(call, options?.keep), options?.signal);
  }

  #alive() {
    if (!this.#disposed) return this.#placement;
    throw new NeurenixError('disposed', `The model '${this.name}' was disposed of. Load it again.`);
  }
}

/**
 * A port without what only the memory plan needs.
 * @param {Port} port
 * @returns {TensorInfo}
 */
function describePort({ name, dtype, shape, lengths }) {
  const bounded = lengths.length ? { bounded: Object.freeze(lengths.map(({ axis }) => axis)) } : {};
  return Object.freeze({ name, dtype, shape, ...bounded });
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
