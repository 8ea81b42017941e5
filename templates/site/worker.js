// The site's service worker. The build writes `const SITE = {…};` before it and calls the whole neurenix-worker.js.
//
// One cache for each version, filled completely before the version is used: every file is compared with its SHA-256,
// so a site that is being uploaded never mixes with the one before. A version is left when its last tab is.

/** @import { SiteFile, WorkerSite } from './worker-types.js' */

/* global SITE */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const site = /** @type {WorkerSite} */ (SITE);
const scope = new URL(worker.registration.scope);
const PREFIX = `neurenix ${scope.pathname} `;
const CACHE = PREFIX + site.version;
const HASH = 'x-neurenix-sha256';
const AT_ONCE = 4; // downloads
const files = new Map(site.files.map((file) => [file.name, file]));

worker.addEventListener('install', (event) => event.waitUntil(install()));
worker.addEventListener('activate', (event) => event.waitUntil(activate()));
worker.addEventListener('message', (event) => {
  if (event.data === 'take over') worker.skipWaiting();
  if (event.data === 'isolates?' && site.isolate) event.source?.postMessage('isolates');
});
worker.addEventListener('fetch', (event) => {
  const { method, url, headers } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || headers.has('range') || origin !== scope.origin) return;
  if (pathname.startsWith(scope.pathname) && (site.offline || site.isolate)) event.respondWith(answer(event.request));
});

async function install() {
  if (!site.offline) return worker.skipWaiting(); // nothing to complete: let go of an earlier version's files
  const cache = await caches.open(CACHE);
  const queue = site.files.values();
  const work = async () => {
    for (const file of queue) await add(cache, file);
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

async function activate() {
  const kept = site.offline ? CACHE : null;
  const mine = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== kept);
  await Promise.all(mine.map((name) => caches.delete(name)));
  if (!site.offline && !site.isolate) await worker.registration.unregister();
}

/** @param {Request} request */
async function answer(request) {
  if (request.mode === 'navigate' && await mayChangeOver()) {
    return new Response(CHANGING, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  }
  const name = nameIn(request.url);
  if (request.mode === 'navigate' && files.has(`${name}/index.html`)) return Response.redirect(`${scope}${name}/`);
  const file = fileFor(name, request.mode);
  if (!file) return withHeaders(await fetch(request), {});
  const held = await caches.match(address(file), { cacheName: CACHE });
  // The browser may have cleared the cache: another version's file is no replacement.
  return held ?? fetchVerified(file).catch(() => Response.error());
}

/** Whether a newer version waits for the tab that is loading a page, and for no other. */
async function mayChangeOver() {
  return worker.registration.waiting !== null && (await worker.clients.matchAll()).length < 2;
}

// What is shown while the newer version takes over: changing.js says how.
const CHANGING = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Changing to the new version</title><link rel="icon" href="data:,">
<p role="status" style="margin: 2rem; font: 1rem/1.5 system-ui, sans-serif">Changing to the new version of this site …</p>
<script type="module" src="${scope.pathname}neurenix-site/changing.js"></script>`;

/**
 * What an address is called in the list of files; what is no text of UTF-8 is none of them.
 * @param {string} url
 */
function nameIn(url) {
  const path = new URL(url).pathname.slice(scope.pathname.length);
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * The file of a name; hosts show `about.html` at `about` as well. Of a site that is not kept there are none.
 * @param {string} name
 * @param {RequestMode} mode
 * @returns {SiteFile | undefined}
 */
function fileFor(name, mode) {
  if (name === '' || name.endsWith('/')) return files.get(`${name}index.html`);
  return files.get(name) ?? (mode === 'navigate' ? files.get(`${name}.html`) : undefined);
}

/** @param {SiteFile} file */
function address({ name }) {
  return new URL(name.split('/').map(encodeURIComponent).join('/'), scope).href;
}

/**
 * Put a file into the new version's cache: from an earlier version when it is the same, or from the server.
 * @param {Cache} cache
 * @param {SiteFile} file
 */
async function add(cache, file) {
  const url = address(file);
  for (const name of await caches.keys()) {
    if (!name.startsWith(PREFIX)) continue;
    const held = await caches.match(url, { cacheName: name });
    if (held?.headers.get(HASH) === file.sha256 && held.headers.get('x-neurenix-isolate') === String(site.isolate)) {
      if (name !== CACHE) await cache.put(url, held);
      return;
    }
  }
  await cache.put(url, await fetchVerified(file));
}

/**
 * A file of this version; a wrong one is asked for once more past the HTTP cache.
 * @param {SiteFile} file
 */
async function fetchVerified(file) {
  for (const cache of /** @type {const} */ (['no-cache', 'reload'])) {
    const response = await fetch(address(file), { cache });
    const bytes = await response.arrayBuffer();
    if (response.ok && (await sha256(bytes)) === file.sha256) {
      const own = new Response(bytes, { headers: response.headers });
      return withHeaders(own, { [HASH]: file.sha256, 'x-neurenix-isolate': String(site.isolate) });
    }
  }
  throw new Error(`${file.name} is not of version ${site.version}`);
}

/**
 * The same answer with more headers, and with those that isolate a page where the site asks for them.
 * @param {Response} response
 * @param {Record<string, string>} more
 */
function withHeaders(response, more) {
  if (response.type === 'opaque' || response.type === 'opaqueredirect' || response.status === 0) return response;
  const headers = new Headers(response.headers);
  // The body is as it was before the server packed it.
  for (const name of ['content-encoding', 'content-length']) if (site.offline) headers.delete(name);
  for (const [name, value] of Object.entries({ ...more, ...(site.isolate ? ISOLATION : {}) })) headers.set(name, value);
  const { status, statusText } = response;
  return new Response([204, 205, 304].includes(status) ? null : response.body, { status, statusText, headers });
}

const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
};

/** @param {ArrayBuffer} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
