// What the modules of the page hand to each other. Nothing here is public.

import type { Layer, TensorInfo } from '../../runtime/neurenix.runtime/types.js';
import type { Sizes } from './sizes.js';

/** How an input may be given. `values` always may. */
export type Way = 'picture' | 'form' | 'tokens' | 'sound' | 'values';

/** Which axes of a tensor are a picture's; `channels` is null for grey without an axis. */
export interface PictureLayout {
  readonly channels: number | null;
  readonly height: number;
  readonly width: number;
}

/** What the signature does not tell of the inputs: the site's owner did. */
export interface Hints {
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly invert?: boolean;
  readonly sampleRate?: number;
}

/** What an editor is made from. */
export interface EditorContext {
  readonly input: TensorInfo;
  /** The beginning of every id inside. */
  readonly id: string;
  readonly sizes: Sizes;
  readonly layers: readonly Layer[];
  readonly hints: Hints;
  /** To be called when there is something new to run on. */
  readonly changed: () => void;
}

/** The controls for one input. */
export interface Editor {
  readonly element: HTMLElement;
  /** The dims that what is given decides: the page asks for the others. */
  readonly claims: readonly string[];
  /** The values in row-major order for this shape. Throws a Problem. */
  read(shape: readonly number[]): readonly (number | string)[] | Float32Array;
  /** Lets go of what it holds: a camera, listeners on the page. */
  dispose?(): void;
}
