// The public types of the runtime, written by hand; the JavaScript is checked against them.

/** The array that holds each dtype's values. A `bool` is a byte, 0 or 1. */
export interface ArrayTypes {
  float32: Float32Array;
  /** The 16 bits of each value. Where the engine has a Float16Array, that is taken as well. */
  float16: Uint16Array;
  float64: Float64Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}

export type DType = keyof ArrayTypes;
export type TypedArray = ArrayTypes[DType];
export type Scalar = number | bigint | boolean;

/** Arrays of arrays of numbers, as deep as the tensor has dimensions. */
export type Nested = Scalar | readonly Nested[];

/** A number, the name of a dim, or an expression of both: `['*', 2, 'batch']`. */
export type Size = number | string | readonly ['+' | '*' | '//' | 'max' | 'min', Size, Size];

/** What an input or output is called and looks like. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Size[];
  /** Of an output: the axes whose size depends on data. `shape` has the most; the tensor is as long as it really is. */
  readonly bounded?: readonly number[];
}

/** A symbolic dimension and the sizes it may have. */
export interface Dim {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

/** One layer of the architecture, as its author wrote it. */
export interface Layer {
  readonly name: string;
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters: readonly string[];
}

/** What `forward()` takes for one input: values in row-major order, or a tensor. */
export type TensorInput<D extends DType = DType> =
  ArrayTypes[D] | Tensor<D> | GpuTensor<D> | GpuBuffer | readonly Nested[] | Scalar;

/** WebGPU's own types, where the page's project knows them (`@webgpu/types`). */
export type GpuBuffer = typeof globalThis extends { GPUBuffer: { prototype: infer B } } ? B : { readonly usage: number };
export type GpuDevice = typeof globalThis extends { GPUDevice: { prototype: infer D } } ? D : object;

/** Values in row-major order, with their shape and dtype. */
export declare class Tensor<D extends DType = DType> {
  /** The dtype is `data`'s own; of plain numbers it is float32 unless given. */
  constructor(shape: readonly number[], data: ArrayTypes[D] | readonly Nested[], dtype?: D);
  readonly data: ArrayTypes[D];
  readonly shape: readonly number[];
  readonly dtype: D;
  /** How many values there are. */
  readonly size: number;
  /** The values, wherever they were computed. */
  getData(): Promise<ArrayTypes[D]>;
  /** Nothing to do here: only tensors on a GPU hold something to let go of. */
  dispose(): void;
  /** The values as nested arrays; a bare value when the shape is `[]`. */
  toArray(): Nested;
  /** As `toArray()`, with 64-bit integers as numbers. JSON has no NaN: it becomes null. */
  toJSON(): Nested;
}

/**
 * A tensor that stayed on the GPU: values row-major, 4 bytes each, float16 as float32, whole numbers and conditions as
 * 32-bit integers.
 * The next model takes it as it is. Dispose of it once the calls that take it are answered: its buffer then serves
 * another call.
 */
export interface GpuTensor<D extends DType = DType> {
  readonly shape: readonly number[];
  readonly dtype: D;
  readonly size: number;
  /** Throws `disposed` once it was disposed of. */
  readonly buffer: GpuBuffer;
  /** The device that the buffer belongs to. */
  readonly gpuDevice: GpuDevice;
  /** Download the values. Rejected with `run_failed` when the device was lost, and the values with it. */
  getData(): Promise<ArrayTypes[D]>;
  dispose(): void;
}

/**
 * What `forward(…, { keep: true })` gives: tensors on the GPU where the call ran on one, and otherwise the usual ones,
 * as also for outputs whose size depends on data. Both have `getData()`; `'buffer' in tensor` tells them apart.
 */
export type Kept<Outputs> = {
  readonly [Name in keyof Outputs]: Outputs[Name] extends Tensor<infer D> ? Tensor<D> | GpuTensor<D> : never;
};

/** Stable across releases, and the same as in Python: match on it, not on the message. */
export type ErrorCode =
  | 'aborted'
  | 'compile_failed'
  | 'device_unavailable'
  | 'verification_failed'
  | 'bad_bundle'
  | 'bad_dims'
  | 'bad_input'
  | 'bad_integrity'
  | 'bad_version'
  | 'disposed'
  | 'fetch_failed'
  | 'missing_file'
  | 'out_of_memory'
  | 'run_failed'
  | 'unsupported';

/** Every error that the runtime throws on purpose. */
export declare class NeurenixError extends Error {
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown });
  readonly name: 'NeurenixError';
  readonly code: ErrorCode;
}

/** How much has come. `total` counts every file that this load fetches; a file fetched again starts at 0. */
export interface Progress {
  readonly loaded: number;
  readonly total: number;
  readonly file: string;
}

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface LoadOptions {
  /**
   * Where to run; `auto` unless given.
   *
   * - `auto` answers from WebAssembly at once and changes over to a GPU when that has answered the bundle's golden
   *   inputs rightly, if the model is large enough to gain by it (or was exported for a GPU) and the adapter is no
   *   software. `settled` says when.
   * - `webgpu` loads the model on a GPU, software as well; `loadModel` is rejected where that cannot be
   *   (`device_unavailable`, `compile_failed`, `verification_failed`, `run_failed`, `unsupported`).
   * - `wasm` never asks for a GPU.
   *
   * Wherever a model runs, a GPU that fails in a call is replaced by a fresh device once, and if that fails too by
   * WebAssembly, for good: the call is answered either way. `strict` throws instead.
   */
  device?: 'auto' | 'webgpu' | 'wasm';
  /**
   * How many milliseconds a GPU may take for one call, or for compiling, before its device is given up for every model
   * on the page; 60,000 unless given.
   */
  deadline?: number;
  /**
   * Told why, each time that WebAssembly takes over from a GPU: for good, or for one call with whole numbers that need
   * more than 32 bits, after which `model.device` is still `webgpu`.
   */
  onFallback?: (reason: NeurenixError) => void;
  /** How many threads to run. This version runs one, and says so once. */
  threads?: number;
  /** Run in a worker of its own: not in this version, which refuses `true`. */
  worker?: boolean;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
  /** Used in place of the global `fetch`. */
  fetch?: Fetch;
  /**
   * Throw where the runtime would otherwise settle for less: fewer threads than `threads`, another device. A model
   * that needs NaN or infinities stays off the GPU then, since WGSL lets one ignore them: `auto` takes WebAssembly,
   * `webgpu` is refused.
   */
  strict?: boolean;
}

export interface ForwardOptions {
  signal?: AbortSignal;
}

/** What a model holds on its GPU. */
export interface GpuStats {
  readonly adapter: string;
  /** Whether the adapter is software, and no GPU. */
  readonly software: boolean;
  /** Whether it runs the shaders for a GPU with subgroups: false where it has none, or no shader has a use for them. */
  readonly subgroups: boolean;
  /** The page's device: buffers of it may be passed as inputs. */
  readonly device: GpuDevice;
  readonly pipelines: number;
  readonly bindGroups: number;
  readonly buffers: number;
  readonly bytes: number;
  /** How many dispatches a forward pass has at most. */
  readonly dispatches: number;
  /** How many calls this device has answered, those of the golden inputs included. */
  readonly calls: number;
  /** How often a device that failed was replaced. */
  readonly recoveries: number;
}

/** One golden case: `maxError` is the largest `|answer - expected| / max(1, |expected|)`. */
export interface SelfTestCase {
  readonly dims: Readonly<Record<string, number>>;
  readonly passed: boolean;
  readonly maxError: number;
  readonly tolerance: number;
}

/** `passed` is false as well when the bundle carries no cases: then nothing was proved. */
export interface SelfTestResult {
  readonly passed: boolean;
  readonly maxError: number;
  readonly cases: readonly SelfTestCase[];
}

/** A loaded model. Calls are answered one at a time, in order, so they may overlap freely. */
export interface Model<Inputs = Record<string, TensorInput> | TensorInput, Outputs = Record<string, Tensor>> {
  readonly name: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly dims: readonly Dim[];
  /** Names for the last axis of the first output, or null. */
  readonly labels: readonly string[] | null;
  readonly layers: readonly Layer[];
  /** Where the next call is answered, as far as is known. */
  readonly device: 'webgpu' | 'wasm';
  /**
   * Where the model begins, once that is decided: under `auto`, after a GPU has proved itself or failed to. Never
   * rejected, and no answer needs to wait for it. Later changes show in `device`, and `onFallback` is told.
   */
  readonly settled: Promise<'webgpu' | 'wasm'>;
  /** What the model holds on its GPU, at this moment; null while it runs on WebAssembly. */
  readonly gpu: GpuStats | null;
  /** The WebAssembly feature level in use: `relaxed`, `simd` or `scalar`; on a GPU `wgsl`, or `wgsl.f16` where it stores float16. */
  readonly variant: string;
  readonly threads: number;
  /**
   * Run the model once. The inputs are copied when it is called, and the outputs are yours.
   * A typed array may leave one dim to its length: 20 values for `['batch', 10]` are a batch of 2.
   * NaN and infinities pass through, except on a GPU, which may ignore them.
   * Inputs that lie on a GPU are read when the call's turn comes, not before: leave them alone until it is answered.
   * With `keep`, outputs stay on the GPU that made them, but for those whose size depends on data.
   */
  forward(inputs: Inputs, options: ForwardOptions & { keep: true }): Promise<Kept<Outputs>>;
  forward(inputs: Inputs, options?: ForwardOptions): Promise<Outputs>;
  createTensor<D extends DType = 'float32'>(
    shape: readonly number[],
    data: ArrayTypes[D] | readonly Nested[],
    dtype?: D,
  ): Tensor<D>;
  /**
   * Values of the page's own on the model's GPU, `model.gpu.device`: 4 bytes each, in a buffer with `COPY_SRC`.
   * Throws `bad_input` while the model runs on WebAssembly.
   */
  createTensor<D extends DType = 'float32'>(shape: readonly number[], data: GpuBuffer, dtype?: D): GpuTensor<D>;
  /** Run the bundle's golden cases here, and compare. */
  selfTest(options?: ForwardOptions): Promise<SelfTestResult>;
  /** Run once on zeros, so that the first real answer is not the slow one. */
  warmup(options?: ForwardOptions): Promise<void>;
  /** Let go of the memory. Calls that still wait are refused with `disposed`. */
  dispose(): void;
}

/** What NAME.js knows of its model. */
export interface Entry {
  readonly name: string;
  readonly format: number;
  /** The address of NAME.js. */
  readonly url: string;
  readonly manifest: { readonly file: string; readonly size: number; readonly sha256: string };
}

/** Load the model that `entry` describes from the folder `path`, or from NAME.js's own. */
export declare function load(entry: Entry, path?: string | URL, options?: LoadOptions): Promise<Model>;
