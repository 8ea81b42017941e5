// Any input, as a box of numbers: type, paste, open a file of them, or fill. Of ids, as many as there are.

import { acceptDrops, button, fileButton, make } from './dom.js';
import { Problem, reporting } from './problem.js';
import { product } from './sizes.js';
import { firstFill, vocabularySize } from './ways.js';

/** @import { Editor, EditorContext } from './types.js' */

const MOST_TYPED = 20_000; // numbers: a longer text would make the box slow, so it is kept aside
const LARGEST_FILE = 256 * 2 ** 20; // bytes
const FIRST_IDS = 8;
const WORDS = new Map([['true', '1'], ['false', '0']]);

/**
 * @param {EditorContext} context
 * @param {boolean} counted whether the number of values decides the last dim, as of a list of ids
 * @returns {Editor}
 */
export function valuesEditor({ input, id, sizes, layers, changed }, counted) {
  const { name, dtype } = input;
  const open = counted ? /** @type {string} */ (input.shape.at(-1)) : null;
  const known = dtype.includes('int') && firstFill(input) === 'random' ? vocabularySize(layers) : null;
  if (open) sizes.set(open, FIRST_IDS);
  /** @type {(() => string) | null} what fills the box again when the sizes change; null once it was typed in */
  let filler = null;
  /** @type {string[] | null} values that are too many for the box */
  let aside = null;

  const area = make('textarea', { id: `${id}-values`, spellcheck: false, autocomplete: 'off', ariaLabel: name });
  const counter = make('small', { id: `${id}-count` });
  area.setAttribute('aria-describedby', counter.id);
  const wanted = () => product(sizes.shape(input));
  const given = () => aside ?? numbersIn(area.value);
  const recount = () => {
    if (open && filler === null) {
      const others = product(sizes.shape(input).slice(0, -1));
      sizes.set(open, Math.ceil(given().length / Math.max(1, others)));
    }
    const [have, need] = [given().length, wanted()];
    counter.textContent = have === need ? `${need} values` : `${have} of ${need} values`;
  };
  /** @param {readonly string[]} words */
  const put = (words) => {
    aside = words.length > MOST_TYPED ? [...words] : null;
    area.value = words.slice(0, MOST_TYPED).join(', ') + (aside ? ', …' : '');
    area.readOnly = aside !== null;
    area.rows = Math.min(8, 2 + Math.floor(words.length / 8));
    recount();
  };
  const refill = () => {
    if (filler) put(Array.from({ length: wanted() }, filler));
    else recount();
  };
  let next = 0;
  const random = () => {
    if (dtype.startsWith('float')) return Math.random().toFixed(3);
    return String(Math.floor(Math.random() * (dtype === 'bool' ? 2 : known ?? 10)));
  };
  const fillers = { random, ones: () => '1', zeros: () => '0', count: () => String(next++) };
  /** @param {keyof typeof fillers} kind */
  const fill = (kind) => {
    next = 0;
    filler = fillers[kind];
    refill();
  };
  const typed = () => {
    filler = null;
    recount();
  };
  area.addEventListener('input', typed);
  area.addEventListener('change', changed);
  /** @param {File} file */
  const take = (file) => reporting(async () => {
    if (file.size > LARGEST_FILE) throw new Problem('bad_input', `“${file.name}” is larger than 256 MiB.`);
    filler = null;
    put(numbersIn(await file.text()));
    changed();
  });
  acceptDrops(area, take);

  const filling = (/** @type {string} */ text, /** @type {keyof typeof fillers} */ kind) => button(text, () => {
    fill(kind);
    changed();
  }, { ariaLabel: `${text}: ${name}` });
  const stop = sizes.listen(refill);
  fill(firstFill(input));
  const hint = known === null ? '' : `Ids from 0 to ${known - 1}. `;
  return {
    element: make('div', {}, area, make('p', { className: 'note' }, hint, counter),
      make('div', { className: 'actions' }, filling('Random', 'random'), filling('Zeros', 'zeros'),
        ...fileButton('Open file', '.json,.csv,.tsv,.txt', take))),
    claims: counted ? [.../** @type {string[]} */ (input.shape.filter((size) => typeof size === 'string'))] : [],
    read(shape) {
      const words = given();
      const wrong = words.find((word) => word !== 'NaN' && Number.isNaN(Number(word)));
      if (wrong !== undefined) throw new Problem('bad_input', `${name}: “${wrong.slice(0, 40)}” is no number.`, area);
      const part = counted && !dtype.startsWith('float') && words.find((word) => !Number.isInteger(Number(word)));
      if (part) throw new Problem('bad_input', `${name}: “${part}” is no whole number, as ids are.`, area);
      if (words.length !== product(shape)) {
        throw new Problem('bad_input',
          `${name} has ${words.length} values; [${shape.join(', ')}] takes ${product(shape)}.`, area);
      }
      return words;
    },
    dispose: stop,
  };
}

/**
 * The numbers in a text of JSON, CSV or just numbers.
 * @param {string} text
 */
function numbersIn(text) {
  return text.split(/[\s,;[\]]+/).filter(Boolean).map((word) => WORDS.get(word.toLowerCase()) ?? word);
}
