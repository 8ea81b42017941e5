// The public types of the runtime, written by hand; the JavaScript is checked against them.

/** The array that holds each dtype's values. A `bool` is a byte, 0 or 1. */
export interface ArrayTypes {
  float32: Float32Array;
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
export type TensorInput<D extends DType = DType> = ArrayTypes[D] | Tensor<D> | readonly Nested[] | Scalar;

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
  /** The values as nested arrays; a bare value when the shape is `[]`. */
  toArray(): Nested;
  /** As `toArray()`, with 64-bit integers as numbers. JSON has no NaN: it becomes null. */
  toJSON(): Nested;
}

/** Stable across releases, and the same as in Python: match on it, not on the message. */
export type ErrorCode =
  | 'aborted'
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
  /** Where to run. `auto` takes what works; this version has `wasm`. */
  device?: 'auto' | 'webgpu' | 'wasm';
  /** How many threads to run. This version runs one, and says so once. */
  threads?: number;
  /** Run in a worker of its own: not in this version, which refuses `true`. */
  worker?: boolean;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
  /** Used in place of the global `fetch`. */
  fetch?: Fetch;
  /** Throw where the runtime would otherwise settle for less: fewer threads, another device. */
  strict?: boolean;
}

export interface ForwardOptions {
  signal?: AbortSignal;
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
  readonly device: 'wasm';
  /** The WebAssembly feature level in use: `relaxed`, `simd` or `scalar`. */
  readonly variant: string;
  readonly threads: number;
  /**
   * Run the model once. The inputs are copied when it is called, and the outputs are yours.
   * A typed array may leave one dim to its length: 20 values for `['batch', 10]` are a batch of 2.
   * NaN and infinities pass through.
   */
  forward(inputs: Inputs, options?: ForwardOptions): Promise<Outputs>;
  createTensor<D extends DType = 'float32'>(
    shape: readonly number[],
    data: ArrayTypes[D] | readonly Nested[],
  ): Tensor<D>;
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
