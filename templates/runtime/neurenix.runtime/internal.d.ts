// What the modules of the runtime hand to each other. Nothing here is public.

import type { Field } from './field.js';
import type { DType, Dim, Fetch, GpuTensor, Layer, Size, TensorInfo, TypedArray } from './types.js';

/** The size of every dim, by name. */
export type Dims = ReadonlyMap<string, number>;

/** An input or output, and where it starts in the arena. */
export interface Port extends TensorInfo {
  readonly offset: number;
  /** Where the arena holds how much of an axis counts. */
  readonly lengths: readonly { readonly axis: number; readonly name: string; readonly offset: number }[];
}

/** A file of the bundle, as the manifest vouches for it. */
export interface BundleFile {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

export interface Variant {
  readonly name: string;
  readonly file: BundleFile;
}

export interface Golden {
  readonly dims: readonly (readonly [string, number])[];
  readonly inputs: Field;
  readonly outputs: Field;
  readonly lengths: Field;
  readonly tolerance: number;
}

/** What the runtime uses of NAME.json. */
export interface Manifest {
  readonly name: string;
  readonly abi: number;
  readonly device: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly dims: readonly Dim[];
  readonly labels: readonly string[] | null;
  readonly layers: readonly Layer[];
  readonly memory: Readonly<Record<'base' | 'weights' | 'arena' | 'pages', number>>;
  readonly wantsThreads: boolean;
  readonly weights: readonly BundleFile[];
  readonly variants: readonly Variant[];
  readonly golden: readonly Golden[];
  /** The dispatch table, which is read when a GPU is wanted. */
  readonly webgpu: Field | null;
  readonly root: Field;
}

/** Where a tensor lies on the GPU. */
export interface Region {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
  readonly type: 'f32' | 'i32' | 'f16';
}

export interface ShaderRow {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Where the text for a device with subgroups lies, if there is another one. */
  readonly subgroups: { readonly from: number; readonly to: number } | null;
  readonly bindings: readonly ('read' | 'write')[];
  readonly params: number;
}

export interface DispatchRow {
  readonly shader: number;
  readonly bindings: readonly Region[];
  readonly params: readonly Size[];
  readonly at: number;
  /** How many workgroups, which are folded, or how many along each axis. */
  readonly groups: readonly [Size] | readonly [Size, Size, Size];
}

/** What a GPU runs, read from the manifest. `half` is the same for one with float16, which answers within `tolerance`. */
export interface ShaderTable {
  readonly file: BundleFile;
  readonly limits: Readonly<Record<string, number>>;
  readonly buffers: readonly number[];
  readonly regions: ReadonlyMap<string, Region>;
  readonly paramsSize: number;
  readonly shaders: readonly ShaderRow[];
  readonly dispatches: readonly DispatchRow[];
  readonly tensors: readonly {
    readonly name: string; readonly dtype: DType; readonly offset: number; readonly size: number;
  }[];
  readonly half: ShaderTable | null;
  readonly tolerance: number;
  /** Of whole inputs that may not be all that 32 bits hold. */
  readonly ends: ReadonlyMap<string, Ends>;
}

/** The least and the most that a value may be. */
export type Ends = readonly [least: number, most: number];

/** A device that models share. `lost` is why it is no use any more. */
export interface HeldDevice {
  readonly device: GPUDevice;
  readonly adapter: string;
  readonly software: boolean;
  lost: string;
}

/** An input that lies on a GPU: a tensor, or a bare buffer. */
export interface OnGpu {
  readonly tensor?: GpuTensor;
  readonly buffer: GPUBuffer;
  readonly length: number;
  readonly dtype: DType;
}

/** Where a bundle's files lie, and how to get them. */
export interface Source {
  readonly folder: URL;
  readonly fetch: Fetch;
  readonly signal?: AbortSignal;
  readonly onBytes?: (file: string, loaded: number) => void;
}

/** One input of a call. Its shape is null when only its length is known. */
export interface Given {
  readonly info: TensorInfo;
  /** As it came, for errors. */
  readonly value: unknown;
  readonly data: TypedArray | OnGpu;
  readonly shape: readonly number[] | null;
}

/** A call ready to run: its arrays are copies in the order of the signature, and its sizes fit. */
export interface Call {
  readonly dims: Dims;
  readonly arrays: readonly (TypedArray | OnGpu)[];
}

