// The page to try a model on: a form made from the model's signature, and its answer.

import { answerView, short, spoken } from './demo/answers.js';
import { find } from './demo/dom.js';
import { InputField } from './demo/inputs.js';
import { Problem } from './demo/problem.js';
import { downloadResult } from './demo/result.js';
import { showSizes, Sizes } from './demo/sizes.js';

/** @import { Hints } from './demo/types.js' */
/** @import { Model, Tensor } from '../runtime/neurenix.runtime/types.js' */

const page = document.documentElement;
const SLOW = 400; // milliseconds: a model that takes longer runs when it is told to

/** @param {'loading' | 'running' | 'done' | 'stale' | 'error'} state */
function setState(state) {
  page.dataset.state = state;
}

/**
 * @param {unknown} error
 * @param {boolean} [fatal] whether only loading the page again can help
 */
function fail(error, fatal = false) {
  const { code, name, message, field } =
    /** @type {{ code?: string, name?: string, message?: string, field?: HTMLElement }} */ (error ?? {});
  find('problem-code').textContent = code ?? name ?? 'error';
  find('problem-text').textContent = message ?? String(error);
  find('retry').hidden = !fatal;
  find('problem').classList.toggle('over', !fatal);
  find('problem').hidden = false;
  setState('error');
  field?.focus();
}

/** @param {number} time */
const milliseconds = (time) => `${time < 10 ? time.toFixed(2) : Math.round(time)} ms`;

class Page {
  #model;
  #sizes;
  #fields;
  /** @type {{ outputs: Record<string, Tensor>, time: number } | null} */
  #result = null;
  #running = false;
  /** @type {{ asked: boolean, reveal: boolean } | null} what to run with once more */
  #next = null;

  /** @param {Model} model */
  constructor(model) {
    this.#model = model;
    this.#sizes = new Sizes(model.dims);
    /** @type {Hints} */
    const hints = JSON.parse(page.dataset.hints ?? '{}');
    const changed = () => this.#suggest();
    const claimed = () => this.#showSizes();
    this.#fields = model.inputs.map((input) => new InputField(model, input, this.#sizes, changed, claimed, hints));
    find('inputs').append(...this.#fields.map(({ element }) => element));
    this.#showSizes();
    const form = find('form');
    form.hidden = false;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.run();
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.run();
    });
    find('download').onclick = () => {
      if (this.#result) downloadResult(model, this.#result.outputs, this.#result.time);
    };
    find('self-test').onclick = () => this.#selfTest();
  }

  /**
   * Run once; what is asked for meanwhile runs once more afterwards.
   * @param {boolean} [asked] whether the reader did: what is half typed is no error, only no answer yet
   * @param {boolean} [reveal] whether to bring the answer into sight
   */
  async run(asked = true, reveal = asked) {
    if (this.#running) {
      this.#next = { asked: asked || this.#next?.asked === true, reveal: reveal || this.#next?.reveal === true };
      return;
    }
    this.#running = true;
    setState('running');
    try {
      const inputs = Object.fromEntries(this.#model.inputs.map(({ name }, i) => [name, this.#fields[i].read(this.#model)]));
      const begun = performance.now();
      const outputs = await this.#model.forward(inputs);
      this.#show(outputs, performance.now() - begun);
      setState('done');
      if (reveal) find('results').scrollIntoView({ block: 'nearest' });
    } catch (error) {
      if (asked || !(error instanceof Problem)) fail(error);
      else setState('stale');
    } finally {
      this.#running = false;
    }
    const next = this.#next;
    this.#next = null;
    if (next) await this.run(next.asked, next.reveal);
  }

  #suggest() {
    if (!this.#result || this.#result.time < SLOW) this.run(false);
  }

  #showSizes() {
    const claimed = new Set(this.#fields.flatMap(({ claims }) => claims));
    showSizes(find('dims'), this.#model.dims, this.#sizes, claimed);
  }

  /**
   * @param {Record<string, Tensor>} outputs
   * @param {number} time
   */
  #show(outputs, time) {
    const { labels } = this.#model;
    this.#result = { outputs, time };
    find('problem').hidden = true;
    find('answers').replaceChildren(
      ...this.#model.outputs.map(({ name }, i) => answerView(name, outputs[name], i ? null : labels)));
    find('results').hidden = false;
    const { device, variant, threads } = this.#model;
    const parts = [device, variant, threads === 1 ? '1 thread' : `${threads} threads`, milliseconds(time)];
    find('facts').textContent = parts.join(' · ');
    find('announcement').textContent = spoken(this.#model, outputs);
  }

  async #selfTest() {
    const verdict = find('verdict');
    verdict.textContent = 'Testing…';
    try {
      const { passed, maxError, cases } = await this.#model.selfTest();
      const allowed = Math.max(0, ...cases.map(({ tolerance }) => tolerance));
      const figures = `largest error ${maxError.toPrecision(2)}, allowed ${short(allowed)}`;
      verdict.textContent = cases.length === 0 ? 'This bundle carries no test.'
        : `${passed ? 'Passed' : 'Failed'} on this device: ${cases.length} ${cases.length === 1 ? 'case' : 'cases'}, ${figures}.`;
      verdict.dataset.passed = String(passed);
    } catch (error) {
      verdict.textContent = '';
      fail(error);
    }
  }
}

async function start() {
  const file = `${page.dataset.model}.js`;
  const { loadModel } = await import(new URL(`./${file}`, document.baseURI).href).catch((error) => {
    // What a browser says of a module that did not arrive names no way out.
    if (!(error instanceof TypeError)) throw error;
    throw new Problem('fetch_failed', `${file} could not be loaded. Look at the connection, and whether the whole folder was uploaded.`);
  });
  /** @type {Model} */
  const model = await loadModel(undefined, { onProgress: showProgress });
  await new Page(model).run(true, false);
}

/** @param {{ loaded: number, total: number }} done in bytes */
function showProgress({ loaded, total }) {
  /** @type {HTMLProgressElement} */ (find('progress')).value = loaded / total;
  find('loaded').textContent = `Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB`;
}

/** @param {number} bytes */
const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

document.addEventListener('problem', (event) => fail(/** @type {CustomEvent} */ (event).detail));
find('retry').onclick = () => location.reload();
start().catch((error) => fail(error, true)).finally(() => { find('loading').hidden = true; });
