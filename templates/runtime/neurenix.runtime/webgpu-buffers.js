// The buffers of a model on a GPU: made once, filled with its weights, read back, and lent to kept outputs.

import { halvesOf, wordsOf } from './webgpu-values.js';

/** @import { Region, ShaderTable } from './internal.js' */

const SPARE_BUFFERS = 16; // of kept outputs, waiting for the next
// Behind the plan's buffers: the params, what is read back, and the number of the call.
const PARAMS = 0;
const READBACK = 1;
const STAMP = 2;

export class Buffers {
  #device;
  #table;
  #closed = false;
  /** @type {GPUBuffer[]} */
  #made = [];
  /** @type {GPUBuffer[]} buffers of kept outputs that were disposed of */
  #spare = [];

  /**
   * @param {GPUDevice} device
   * @param {ShaderTable} table
   */
  constructor(device, table) {
    this.#device = device;
    this.#table = table;
  }

  /** The plan's, in the order of the table, and behind them those of every call. */
  get all() {
    return /** @type {readonly GPUBuffer[]} */ (this.#made);
  }

  get params() {
    return this.#made[this.#table.buffers.length + PARAMS];
  }

  /** What a call brings back is copied here. None once the model was disposed of. */
  get readback() {
    return /** @type {GPUBuffer | undefined} */ (this.#made[this.#table.buffers.length + READBACK]);
  }

  get stamp() {
    return this.#made[this.#table.buffers.length + STAMP];
  }

  get count() {
    return this.#made.length + this.#spare.length;
  }

  get bytes() {
    return [...this.#made, ...this.#spare].reduce((sum, { size }) => sum + size, 0);
  }

  /** @param {readonly string[]} results the names of what a call may read back */
  make(results) {
    const { buffers, paramsSize, regions } = this.#table;
    const { STORAGE, COPY_SRC, COPY_DST, UNIFORM, MAP_READ } = GPUBufferUsage;
    const make = (/** @type {number} */ size, /** @type {number} */ usage) => {
      this.#made.push(this.#device.createBuffer({ size, usage }));
    };
    buffers.forEach((size) => make(size, STORAGE | COPY_SRC | COPY_DST));
    make(paramsSize, UNIFORM | COPY_DST);
    const read = results.reduce((sum, name) => sum + /** @type {Region} */ (regions.get(name)).size, 0);
    make(read + 4, MAP_READ | COPY_DST);
    make(4, COPY_SRC | COPY_DST);
  }

  /**
   * Where a tensor of the plan lies.
   * @param {string} name
   */
  place(name) {
    const { buffer, offset } = /** @type {Region} */ (this.#table.regions.get(name));
    return { buffer: this.#made[buffer], offset };
  }

  /** @param {Uint8Array<ArrayBuffer>} weights */
  upload(weights) {
    for (const { name, dtype, offset, size } of this.#table.tensors) {
      const held = wordsOf(weights, dtype, offset, size);
      const { buffer, offset: at, type } = /** @type {Region} */ (this.#table.regions.get(name));
      const words = type === 'f16' ? halvesOf(/** @type {Float32Array<ArrayBuffer>} */ (held)) : held;
      if (words.length) this.#device.queue.writeBuffer(this.#made[buffer], at, words);
    }
  }

  /**
   * A buffer for an output that is kept.
   * @param {number} size
   */
  take(size) {
    const found = this.#spare.findIndex((buffer) => buffer.size === Math.max(size, 4));
    if (found >= 0) return this.#spare.splice(found, 1)[0];
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ size: Math.max(size, 4), usage });
  }

  /** @param {GPUBuffer} buffer */
  giveBack(buffer) {
    if (this.#closed || this.#spare.length >= SPARE_BUFFERS) buffer.destroy();
    else this.#spare.push(buffer);
  }

  /**
   * Copy what a call brought back, and let go of the buffer.
   * @param {number} size
   */
  read(size) {
    const { readback } = this;
    try {
      return new Uint8Array(/** @type {GPUBuffer} */ (readback).getMappedRange(0, size).slice(0));
    } finally {
      readback?.unmap();
    }
  }

  destroy() {
    this.#closed = true;
    for (const buffer of [...this.#made, ...this.#spare]) buffer.destroy();
    this.#made = [];
    this.#spare = [];
  }
}
