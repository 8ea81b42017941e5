// What the modules of the runtime hand to each other. Nothing here is public.

import type { Field } from './field.js';
import type { Dim, Fetch, Layer, TensorInfo, TypedArray } from './types.js';

/** The size of every dim, by name. */
export type Dims = ReadonlyMap<string, number>;

/** An input or output, and where it starts in the arena. */
export interface Port extends TensorInfo {
  readonly offset: number;
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
  readonly data: TypedArray;
  readonly shape: readonly number[] | null;
}

/** A call ready to run: its arrays are copies in the order of the signature, and its sizes fit. */
export interface Call {
  readonly dims: Dims;
  readonly arrays: readonly TypedArray[];
}

