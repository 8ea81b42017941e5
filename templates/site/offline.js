// Registers the site's service worker, and says when a newer version of the site is ready.
// A page of your own takes part with <script type="module" src="neurenix-site/offline.js"></script>.

const RELOADED = 'neurenix-reloaded';
const WORKER = new URL('../neurenix-worker.js', import.meta.url);

/** A page that the worker isolates may run threads. That takes one reload, and never a second. */
function reloadForIsolation() {
  if (globalThis.crossOriginIsolated || sessionStorage.getItem(RELOADED)) return;
  sessionStorage.setItem(RELOADED, 'yes');
  location.reload();
}

/** Other tabs keep their version: the worker changes over once a single tab is left and loads a page. */
function announce() {
  if (document.getElementById('neurenix-update')) return;
  const text = document.createElement('p');
  text.textContent = 'A new version of this site is ready. Close its other tabs, then reload.';
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Reload';
  button.onclick = () => location.reload();
  const notice = document.createElement('div');
  notice.id = 'neurenix-update';
  notice.className = 'notice quiet';
  notice.setAttribute('role', 'status');
  notice.append(text, button);
  (document.querySelector('header') ?? document.body).append(notice);
}

async function register() {
  const { serviceWorker } = navigator;
  serviceWorker.addEventListener('message', ({ data }) => {
    if (data === 'isolates') reloadForIsolation();
  });
  const registration = await serviceWorker.register(WORKER, { updateViaCache: 'none' });
  const look = () => {
    if (registration.waiting && serviceWorker.controller) announce();
  };
  look();
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', look));
  const { active } = await serviceWorker.ready;
  active?.postMessage('isolates?');
}

// `neurenix serve` loads pages again when they change: kept ones would show what was there before.
const isDeveloped = document.querySelector('script[src="/.neurenix/reload.js"]') !== null;

// Plain http and private windows have no service workers: the site works there, online.
if ('serviceWorker' in navigator && !isDeveloped) {
  register().catch((error) => console.info(`neurenix: no offline use: ${error.message}`));
}
