// A forward pass on a GPU: params and workgroups for the dims of a call, and all its commands in one submit.

import { evaluate, evaluateShape } from './dims.js';
import { NeurenixError } from './errors.js';
import { widen } from './gpu-tensor.js';
import { product } from './tensor.js';

/** @import { Dims, Manifest, OnGpu, ShaderTable } from './internal.js' */
/** @import { Buffers } from './webgpu-buffers.js' */

const MOST_GROUPS = 65535; // of a dispatch, along each axis: no adapter gives more

export class Pass {
  #manifest;
  #table;
  #device;
  #buffers;
  /** The number of the call, which goes through the GPU with it: one that was dropped brings back another. */
  #stamp = new Int32Array(1);
  /** @type {{ key: string, sizes: (readonly number[])[] } | null} the workgroups, for the last dims */
  #ready = null;

  /**
   * @param {Manifest} manifest
   * @param {ShaderTable} table
   * @param {GPUDevice} device
   * @param {Buffers} buffers
   * @param {readonly GPUComputePipeline[]} pipelines one a shader
   * @param {readonly GPUBindGroup[]} groups one a dispatch
   */
  constructor(manifest, table, device, buffers, pipelines, groups) {
    this.#manifest = manifest;
    this.#table = table;
    this.#device = device;
    this.#buffers = buffers;
    this.pipelines = pipelines;
    this.groups = groups;
  }

  /**
   * Write the inputs, and encode and submit the whole pass.
   * @param {readonly (Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | OnGpu)[]} words
   * @param {Dims} dims
   * @param {ReadonlyMap<string, GPUBuffer>} own buffers of the outputs that are kept
   * @param {readonly { name: string, shape: readonly number[] }[]} ports what is read back
   */
  submit(words, dims, own, ports) {
    const { inputs, outputs } = this.#manifest;
    const { sizes } = this.#plan(dims);
    const { stamp } = this.#buffers;
    const readback = /** @type {GPUBuffer} */ (this.#buffers.readback);
    const { queue } = this.#device;
    this.#stamp[0] += 1;
    queue.writeBuffer(stamp, 0, this.#stamp);
    const encoder = this.#device.createCommandEncoder();
    words.forEach((values, i) => {
      const { buffer, offset } = this.#buffers.place(inputs[i].name);
      if (!values.length) return;
      if ('buffer' in values && !ArrayBuffer.isView(values)) {
        encoder.copyBufferToBuffer(values.buffer, 0, buffer, offset, 4 * values.length);
      } else {
        queue.writeBuffer(buffer, offset, values);
      }
    });
    this.#dispatch(encoder.beginComputePass(), sizes);
    /** @type {(name: string, target: GPUBuffer, to: number, size: number) => void} */
    const copy = (name, target, to, size) => {
      const { buffer, offset } = this.#buffers.place(name);
      if (size) encoder.copyBufferToBuffer(buffer, offset, target, to, size);
    };
    for (const { name, shape } of outputs) {
      const target = own.get(name);
      if (target) copy(name, target, 0, 4 * product(evaluateShape(shape, dims)));
    }
    const places = /** @type {Map<string, readonly [number, number]>} */ (new Map());
    let end = 0;
    for (const { name, shape } of ports) {
      const size = 4 * product(shape);
      copy(name, readback, end, size);
      places.set(name, [end, size]);
      end += size;
    }
    encoder.copyBufferToBuffer(stamp, 0, readback, end, 4);
    queue.submit([encoder.finish()]);
    return { places, end: end + 4, mapped: readback.mapAsync(GPUMapMode.READ, 0, end + 4) };
  }

  /**
   * Whether these bytes, the last of a call, are of the call that was submitted last.
   * @param {Uint8Array<ArrayBuffer>} bytes
   */
  isLast(bytes) {
    return widen(bytes, 'int32')[0] === this.#stamp[0];
  }

  /**
   * @param {GPUComputePassEncoder} pass
   * @param {readonly (readonly number[])[]} sizes
   */
  #dispatch(pass, sizes) {
    this.#table.dispatches.forEach(({ shader }, i) => {
      const [x, y, z] = sizes[i];
      if (!x || !y || !z) return;
      pass.setPipeline(this.pipelines[shader]);
      pass.setBindGroup(0, this.groups[i]);
      pass.dispatchWorkgroups(x, y, z);
    });
    pass.end();
  }

  /**
   * The workgroups of every dispatch for these dims. Params are written when the dims change, and only then.
   * @param {Dims} dims
   */
  #plan(dims) {
    const key = [...dims.values()].join();
    if (this.#ready?.key === key) return this.#ready;
    const { dispatches, paramsSize } = this.#table;
    const params = new Int32Array(paramsSize / 4);
    const sizes = dispatches.map((row) => {
      const own = row.params.map((size) => this.#exact(evaluate(size, dims), -(2 ** 31), 2 ** 31 - 1));
      params.set(own, row.at / 4);
      const most = row.groups.length > 1 ? MOST_GROUPS : MOST_GROUPS ** 2;
      const [x, y, z] = row.groups.map((size) => this.#exact(evaluate(size, dims), 0, most));
      return y === undefined ? [Math.min(x, MOST_GROUPS), Math.ceil(x / MOST_GROUPS), 1] : [x, y, z];
    });
    this.#ready = null;
    this.#device.queue.writeBuffer(this.#buffers.params, 0, params);
    this.#ready = { key, sizes };
    return this.#ready;
  }

  /**
   * @param {number} value
   * @param {number} least
   * @param {number} most
   */
  #exact(value, least, most) {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new NeurenixError('bad_bundle',
      `${this.#manifest.name}: its dispatch table gives ${value} for these sizes. Export the model again.`);
  }
}
