// Takes one picture with the camera, in a dialog that lets go of the camera however it ends.

import { button, make } from './dom.js';
import { Problem } from './problem.js';

/**
 * The picture, or null when the reader closed the dialog.
 * @returns {Promise<ImageBitmap | null>}
 */
export async function takePicture() {
  const stream = await openDevice({ video: { facingMode: 'environment' } }, 'camera');
  const video = make('video', { muted: true, playsInline: true, srcObject: stream });
  try {
    await video.play();
    return await ask(video);
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}

/**
 * @param {MediaStreamConstraints} wanted
 * @param {string} device what a message calls it
 */
export async function openDevice(wanted, device) {
  if (!navigator.mediaDevices) {
    throw new Problem('unsupported', `A page may use the ${device} only over https. Choose a file instead.`);
  }
  return navigator.mediaDevices.getUserMedia(wanted).catch((error) => {
    const refused = error.name === 'NotAllowedError';
    throw new Problem('unsupported', refused
      ? `The ${device} was not allowed. Allow it in the browser's settings for this page, or choose a file.`
      : `There is no ${device} to use (${error.name}). Choose a file instead.`);
  });
}

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<ImageBitmap | null>}
 */
function ask(video) {
  const take = button('Take the picture', () => dialog.close('take'), { className: 'main' });
  const dialog = make('dialog', { ariaLabel: 'Camera' }, video,
    make('div', { className: 'actions' }, take, button('Close', () => dialog.close(''))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (dialog.returnValue === 'take') createImageBitmap(video).then(resolve, reject);
      else resolve(null);
    });
  });
}
