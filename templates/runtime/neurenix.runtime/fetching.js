// Fetches the bundle's files, verifies each against its size and SHA-256, and names what went wrong.

import { abortable, abortError, NeurenixError, throwIfAborted } from './errors.js';
import { sha256 } from './integrity.js';

/** @import { BundleFile, Source } from './internal.js' */

/** How long a server may send nothing before it is given up. */
export const STALL_MS = 30_000;

/**
 * One file, verified, in `target` or in an array of its own.
 * A wrong file is asked for once more past the HTTP cache: a stale copy of an earlier export may lie there.
 * @param {BundleFile} file
 * @param {Source} source
 * @param {Uint8Array<ArrayBuffer>} [target]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function fetchVerified(file, source, target = bytesFor(file)) {
  try {
    return await attempt(file, source, target, 'default');
  } catch (error) {
    if (!(error instanceof NeurenixError) || error.code !== 'bad_integrity') throw error;
    return attempt(file, source, target, 'reload');
  }
}

/**
 * Several files, verified, one behind another in `target`.
 * @param {readonly BundleFile[]} files
 * @param {Source} source
 * @param {Uint8Array<ArrayBuffer>} target
 */
export async function fetchAll(files, source, target) {
  let at = 0;
  await Promise.all(files.map((file) => {
    const part = target.subarray(at, at + file.size);
    at += file.size;
    return fetchVerified(file, source, part);
  }));
  return target;
}

/**
 * @param {BundleFile} file
 * @param {Source} source
 * @param {Uint8Array<ArrayBuffer>} target
 * @param {RequestCache} cache
 */
async function attempt(file, source, target, cache) {
  const body = new Download(file.name, source, cache);
  let loaded = 0;
  source.onBytes?.(file.name, loaded);
  for await (const chunk of body.chunks()) {
    if (loaded + chunk.length <= file.size) target.set(chunk, loaded);
    if (loaded === 0) body.look(chunk);
    loaded += chunk.length;
    if (loaded > file.size) break;
    source.onBytes?.(file.name, loaded);
  }
  const problem = loaded !== file.size
    ? `has ${loaded > file.size ? 'more than ' : ''}${Math.min(loaded, file.size)} bytes, not ${file.size}`
    : (await sha256(target)) !== file.sha256 && `does not have the SHA-256 ${file.sha256}`;
  throwIfAborted(source.signal);
  if (!problem) return target;
  if (body.isHtml) {
    throw new NeurenixError('missing_file',
      `${body.url} answered with an HTML page instead of the file. Upload it, or correct the path: `
      + 'some servers answer every address with a page.');
  }
  throw new NeurenixError('bad_integrity',
    `${body.url} ${problem}: it is damaged, or of another export. Upload the whole folder again.`);
}

/** @param {BundleFile} file */
function bytesFor({ name, size }) {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    throw new NeurenixError('out_of_memory',
      `${name} needs ${size} bytes, which this browser does not give.`, { cause });
  }
}

/** One request and its body. */
class Download {
  #source;
  #cache;
  #request = new AbortController();
  isHtml = false;

  /**
   * @param {string} name
   * @param {Source} source
   * @param {RequestCache} cache
   */
  constructor(name, source, cache) {
    this.url = new URL(name, source.folder).href;
    this.#source = source;
    this.#cache = cache;
  }

  /** Notice a page that came in place of a file. @param {Uint8Array} start */
  look(start) {
    if (/^\s*<[!?a-z]/i.test(new TextDecoder().decode(start.subarray(0, 64)))) this.isHtml = true;
  }

  /** @returns {AsyncGenerator<Uint8Array>} */
  async *chunks() {
    const { signal } = this.#source;
    const stop = () => signal && this.#request.abort(abortError(signal));
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    try {
      const response = await this.#within(this.#open());
      this.#check(response);
      if (!response.body) {
        yield new Uint8Array(await this.#within(response.arrayBuffer()));
        return;
      }
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await this.#within(reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#request.abort(); // ends what is still under way when the reader has seen enough
    }
  }

  async #open() {
    if (this.url.startsWith('file:')) return readLocal(this.url);
    return this.#source.fetch(this.url, { cache: this.#cache, signal: this.#request.signal });
  }

  /** @param {Response} response */
  #check({ ok, status, headers }) {
    this.isHtml = /^text\/html\b/i.test(headers.get('content-type') ?? '');
    if (ok) return;
    if (status === 404 || status === 410) {
      throw new NeurenixError('missing_file',
        `${this.url} is not there (HTTP ${status}). Upload the whole folder.`);
    }
    throw new NeurenixError('fetch_failed',
      `${this.url} answered with HTTP ${status}. Try again, or look at the server.`);
  }

  /**
   * What `promise` gives, unless the signal or the patience for a silent server ends it.
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T>}
   */
  async #within(promise) {
    const { signal } = this.#request;
    const timer = setTimeout(() => {
      const silence = `${this.url} sent nothing for ${STALL_MS / 1000} seconds. Try again.`;
      this.#request.abort(new NeurenixError('fetch_failed', silence));
    }, STALL_MS);
    try {
      return await abortable(promise, signal);
    } catch (cause) {
      if (signal.aborted) throw abortError(signal);
      if (cause instanceof NeurenixError) throw cause;
      throw new NeurenixError('fetch_failed',
        `${this.url} could not be fetched. Check the network, the server and the page's connect-src policy.`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * A file from the disk, in Node, whose fetch has no file: addresses.
 * @param {string} url
 */
async function readLocal(url) {
  const fs = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  if (!fs) {
    throw new NeurenixError('unsupported',
      `${url}: files cannot be fetched here. Serve the folder, or pass options.fetch.`);
  }
  try {
    return new Response(await fs.readFile(new URL(url)));
  } catch (cause) {
    throw new NeurenixError('missing_file', `${url} cannot be read.`, { cause });
  }
}
