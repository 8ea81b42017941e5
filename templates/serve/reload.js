// Loads the page again when `neurenix serve` says that something has changed. Only that server adds it to a page.

let shown;

async function reload() {
  // A worker that serves the site offline would answer with what it has kept.
  const workers = (await navigator.serviceWorker?.getRegistrations()) ?? [];
  await Promise.all(workers.map((worker) => worker.unregister()));
  location.reload();
}

new EventSource("/.neurenix/changes").addEventListener("message", ({ data }) => {
  if (shown !== undefined && shown !== data) reload();
  shown = data;
});
