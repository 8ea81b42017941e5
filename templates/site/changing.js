// Brings the newer version of the site into force, on the page that the worker shows meanwhile, for about a second.
// The page loads itself again once that is done and not before: Chromium may never answer a navigation that meets a
// worker between being installed and being in force.

const LONGEST = 10_000; // ms; then the site is the server's, without a worker: nobody is kept out
const AGAIN = 50; // ms

const registered = navigator.serviceWorker.getRegistration();

async function change() {
  const registration = await registered;
  document.documentElement.dataset.state = 'changing';
  registration?.waiting?.postMessage('take over');
  const isUnderWay = registration?.waiting || registration?.active?.state === 'activating';
  if (isUnderWay) setTimeout(change, AGAIN);
  else location.reload();
}

async function giveUp() {
  await (await registered)?.unregister();
  location.reload();
}

setTimeout(giveUp, LONGEST);
change();
