// The page: loads the model, asks it about the drawing at most once per frame, and shows what it says.

import { createDrawing } from './drawing.js';
import { prepare } from './preprocess.js';
import { createView } from './view.js';

const MODEL = './models/digits/digits.js';
const SURE = 0.5;
const PAUSE_BEFORE_ANNOUNCING = 700; // milliseconds: a screen reader hears answers, not every stroke's

const view = createView();
/** @type {any} the loaded model, or null until it is there */
let model = null;
let frame = 0;
let answering = false;
let changedMeanwhile = false;
let announcement = 0;
/** @type {number[]} */
let durations = [];

const drawing = createDrawing(view.paper, { onChange: inkChanged, onPenUp: announceSoon });

function inkChanged() {
  clearTimeout(announcement);
  view.showInk(drawing.strokes().length);
  if (!frame) frame = requestAnimationFrame(answer);
}

/** Ask the model once. While it works, further ink only leaves a mark to ask again. */
async function answer() {
  frame = 0;
  if (!model) return;
  if (answering) {
    changedMeanwhile = true;
    return;
  }
  const image = prepare(drawing.strokes());
  if (!image) {
    view.showNothing();
    return;
  }
  answering = true;
  try {
    const started = performance.now();
    const { output } = await model.forward({ image });
    durations = [...durations.slice(-29), performance.now() - started];
    // The paper may have been cleared while the model worked.
    if (drawing.strokes().length) view.showAnswer(image, Array.from(output.data), SURE);
    view.showDuration(mean(durations));
  } catch (error) {
    model = null;
    view.showError('The model stopped', error, retry);
  } finally {
    answering = false;
    if (changedMeanwhile) {
      changedMeanwhile = false;
      inkChanged();
    }
  }
}

function announceSoon() {
  clearTimeout(announcement);
  announcement = setTimeout(() => view.announceAnswer(SURE), PAUSE_BEFORE_ANNOUNCING);
}

async function start() {
  view.showProgress();
  try {
    const { loadModel } = await import(MODEL);
    model = await loadModel(undefined, { onProgress: view.showProgress });
    await model.warmup(); // nobody should wait for the first call with the pen in hand
    view.showReady(model);
    inkChanged();
  } catch (error) {
    model = null;
    view.showError('The model could not be loaded', error, retry);
  }
}

/**
 * Try again. A browser remembers a module that it could not fetch, so that case needs a fresh page.
 * @param {unknown} error
 */
function retry(error) {
  if (error && typeof error === 'object' && 'code' in error) start();
  else location.reload();
}

/** @param {number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

view.onUndo(() => {
  drawing.undo();
  if (drawing.strokes().length) announceSoon();
  else view.announce('Nothing drawn.');
});
view.onClear(() => {
  drawing.clear();
  view.announce('Cleared.');
});
start();
