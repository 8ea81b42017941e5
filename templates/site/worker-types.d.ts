// What the build tells the service worker.

/** A file of the site, as this version has it. */
export interface SiteFile {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

export interface WorkerSite {
  readonly version: string;
  /** Whether the site is kept for use without a network. */
  readonly offline: boolean;
  /** Whether pages get the headers that allow threads. */
  readonly isolate: boolean;
  readonly files: readonly SiteFile[];
}

declare global {
  const SITE: unknown;
}
