// What the page shows: the guess, the bars, the facts, progress and errors. Knows the document, not the model.

import { SIDE } from './preprocess.js';

const VARIANTS = /** @type {Record<string, string>} */ ({
  scalar: 'WebAssembly',
  simd: 'WebAssembly, SIMD',
  relaxed: 'WebAssembly, relaxed SIMD',
});

/** Find the page's parts and return the functions that change them. */
export function createView() {
  const page = find('main');
  const guess = find('#guess');
  const confidence = find('#confidence');
  const seen = /** @type {HTMLCanvasElement} */ (find('#seen'));
  const progress = /** @type {HTMLProgressElement} */ (find('#progress'));
  const retryButton = /** @type {HTMLButtonElement} */ (find('#retry'));
  const undoButton = find('#undo');
  const clearButton = find('#clear');
  const bars = createBars(find('#bars'));
  let best = -1;
  let probability = 0;

  countDownloads(find('#downloaded'));

  /** @param {number} strokes */
  function showInk(strokes) {
    page.dataset.ink = String(strokes > 0);
    // Not `disabled`: a button that is disabled while it has the focus loses it.
    for (const button of [undoButton, clearButton]) button.setAttribute('aria-disabled', String(strokes === 0));
  }

  function showNothing() {
    best = -1;
    guess.textContent = '?';
    confidence.textContent = '';
    page.dataset.sure = 'false';
    paintSeen(seen, new Float32Array(SIDE * SIDE));
    bars.forEach((bar) => bar.show(0, false));
  }

  /**
   * @param {Float32Array} image
   * @param {number[]} probabilities
   * @param {number} sure
   */
  function showAnswer(image, probabilities, sure) {
    probability = Math.max(...probabilities);
    best = probabilities.indexOf(probability);
    guess.textContent = String(best);
    confidence.textContent = probability < sure ? 'Not sure' : probability < 0.9 ? 'Fairly sure' : 'Sure';
    page.dataset.sure = String(probability >= sure);
    paintSeen(seen, image);
    bars.forEach((bar, digit) => bar.show(probabilities[digit], digit === best));
  }

  /** @param {string} text */
  function announce(text) {
    find('#announcement').textContent = text;
  }

  /** @param {number} sure */
  function announceAnswer(sure) {
    if (best >= 0) announce(`${probability >= sure ? '' : 'Perhaps '}${best}, ${percent(probability)}`);
  }

  /** @param {{ loaded?: number, total?: number }} [event] */
  function showProgress(event) {
    page.dataset.state = 'loading';
    if (event?.total) progress.value = (event.loaded ?? 0) / event.total;
    else progress.removeAttribute('value');
  }

  /** @param {{ device: string, variant?: string, threads?: number }} model */
  function showReady(model) {
    page.dataset.state = 'ready';
    const name = VARIANTS[model.variant ?? ''] ?? [model.device, model.variant].filter(Boolean).join(', ');
    find('#backend').textContent = (model.threads ?? 1) > 1 ? `${name}, ${model.threads} threads` : name;
  }

  /** @param {number} milliseconds */
  function showDuration(milliseconds) {
    const rounded = milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0);
    find('#duration').textContent = milliseconds < 0.05 ? 'under 0.1 ms' : `${rounded} ms`;
  }

  /**
   * @param {string} title
   * @param {any} error
   * @param {(error: unknown) => void} retry
   */
  function showError(title, error, retry) {
    page.dataset.state = 'error';
    find('#error-title').textContent = title;
    find('#error-code').textContent = error?.code ?? error?.name ?? 'error';
    find('#error-message').textContent = error?.message ?? String(error);
    retryButton.onclick = () => retry(error);
  }

  /** @param {() => void} action */
  function onUndo(action) {
    undoButton.addEventListener('click', () => page.dataset.ink === 'true' && action());
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'z' || !(event.ctrlKey || event.metaKey) || event.shiftKey || page.dataset.ink !== 'true') return;
      event.preventDefault();
      action();
    });
  }

  /** @param {() => void} action */
  function onClear(action) {
    clearButton.addEventListener('click', () => page.dataset.ink === 'true' && action());
  }

  return {
    paper: /** @type {HTMLCanvasElement} */ (find('#paper')),
    showInk, showNothing, showAnswer, announce, announceAnswer,
    showProgress, showReady, showDuration, showError, onUndo, onClear,
  };
}

/**
 * Make ten bars, one for each digit.
 * @param {HTMLElement} list
 */
function createBars(list) {
  return Array.from({ length: 10 }, (_, digit) => {
    const item = document.createElement('li');
    const value = append(item, 'span', 'value');
    const bar = append(append(item, 'span', 'track'), 'span', 'bar');
    append(item, 'span', 'digit').textContent = String(digit);
    list.append(item);
    return {
      /** @type {(probability: number, isBest: boolean) => void} */
      show(probability, isBest) {
        bar.style.transform = `scaleY(${probability})`;
        value.textContent = probability >= 0.01 ? percent(probability) : '';
        item.classList.toggle('best', isBest);
      },
    };
  });
}

/**
 * Show what the model is given: its 28 by 28 pixels, in the ink's colour.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} image
 */
function paintSeen(canvas, image) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const pixels = context.createImageData(SIDE, SIDE);
  // White or black by the canvas's own colour; the value is the opacity, so both colour schemes look right.
  const [red, green, blue] = getComputedStyle(canvas).color.match(/\d+/g)?.map(Number) ?? [0, 0, 0];
  image.forEach((value, i) => pixels.data.set([red, green, blue, value * 255], i * 4));
  context.putImageData(pixels, 0, 0);
}

/**
 * Keep the sum of everything this page has fetched, in bytes as they came over the wire.
 * @param {HTMLElement} element
 */
function countDownloads(element) {
  let bytes = 0;
  const add = (/** @type {PerformanceEntry[]} */ entries) => {
    for (const entry of entries) bytes += /** @type {PerformanceResourceTiming} */ (entry).encodedBodySize;
    element.textContent = bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };
  add(performance.getEntriesByType('navigation'));
  new PerformanceObserver((list) => add(list.getEntries())).observe({ type: 'resource', buffered: true });
}

/**
 * @param {HTMLElement} parent
 * @param {string} tag
 * @param {string} name
 */
function append(parent, tag, name) {
  const child = document.createElement(tag);
  child.className = name;
  parent.append(child);
  return child;
}

/**
 * @param {string} selector
 * @returns {HTMLElement}
 */
function find(selector) {
  const element = document.querySelector(selector);
  if (!element) throw new Error(`index.html has no ${selector}`);
  return /** @type {HTMLElement} */ (element);
}

/** @param {number} probability */
function percent(probability) {
  return `${Math.round(probability * 100)}%`;
}
