// A classic script, which runs where modules do not: says why nothing else does.

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

if (location.protocol === 'file:') {
  part('as-file').hidden = false;
  document.documentElement.dataset.place = 'file';
} else {
  // A script of the page that did not arrive, or one that it imports: browsers do not tell what went wrong.
  addEventListener('error', ({ target }) => {
    if (!(target instanceof HTMLScriptElement) || !target.src.endsWith('/demo.js')) return;
    part('problem-code').textContent = 'fetch_failed';
    part('problem-text').textContent = 'A script of this page could not be loaded. Look at the connection, and whether the whole site was uploaded.';
    part('loading').hidden = true;
    part('retry').hidden = false;
    part('retry').onclick = () => location.reload();
    part('problem').hidden = false;
    document.documentElement.dataset.state = 'error';
  }, true);
}
