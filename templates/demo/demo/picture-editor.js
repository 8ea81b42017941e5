// An input that is a picture: drop, paste, choose, take or draw one; says how it becomes the model's values.

import { takePicture } from './camera.js';
import { acceptDrops, button, fileButton, labelled, make, select } from './dom.js';
import { FITS, Paper } from './paper.js';
import { invert, SCALINGS, toValues } from './picture.js';
import { Problem, reporting } from './problem.js';
import { repeated } from './sizes.js';
import { pictureLayout } from './ways.js';

/** @import { Scaling } from './picture.js' */
/** @import { Editor, EditorContext } from './types.js' */

const USUAL_SIDE = 224; // where the model leaves it open
const PAPER_SIDE = 448; // of small pictures, which are drawn larger than they are
const INK_SIDE = 64; // grey pictures up to this are usually light ink on dark: handwriting

/**
 * @param {EditorContext} context
 * @returns {Editor}
 */
export function pictureEditor({ input, id, sizes, hints, changed }) {
  const layout = pictureLayout(input);
  if (!layout) throw new Error(`${input.name} is no picture`);
  const claims = input.shape.filter((size) => typeof size === 'string');
  for (const axis of [layout.height, layout.width]) {
    const size = input.shape[axis];
    if (typeof size === 'string') sizes.set(size, USUAL_SIDE);
  }
  const shape = () => sizes.shape(input);
  const channels = layout.channels === null ? 1 : shape()[layout.channels];
  const wholeNumbers = !input.dtype.startsWith('float');

  const canvas = make('canvas', { className: 'paper', role: 'img', ariaLabel: `Picture for ${input.name}` });
  const seen = make('canvas', { className: 'seen', role: 'img', ariaLabel: 'The picture as the model gets it' });
  const hint = make('p', { className: 'hint' }, 'Draw here, drop or paste a picture');
  const note = make('p', { className: 'note' });

  /** @type {Record<string, Scaling>} */
  const scalings = hints.mean && hints.std
    ? { told: { text: 'as the model was trained', mean: hints.mean, spread: hints.std }, ...SCALINGS } : SCALINGS;
  const choices = Object.entries(scalings)
    .filter(([, each]) => each.channels === undefined || each.channels === channels)
    .map(([name, { text }]) => /** @type {[string, string]} */ ([name, text]));
  const scaling = select(choices, () => update());
  scaling.value = 'told' in scalings ? 'told' : wholeNumbers ? 'bytes' : 'unit';
  const fit = select(FITS, () => {
    paper.fit = fit.value;
    paper.draw();
    update();
  });
  const inverted = make('input', { type: 'checkbox', id: `${id}-invert`, onchange: () => update() });
  const colour = make('input', { type: 'color', value: '#000000', oninput: () => { paper.colour = colour.value; } });

  const paper = new Paper(canvas, () => update());
  const [rows, columns] = [shape()[layout.height], shape()[layout.width]];
  inverted.checked = hints.invert ?? (channels === 1 && Math.max(rows, columns) <= INK_SIDE);
  const zoom = Math.max(1, PAPER_SIDE / Math.max(rows, columns));
  paper.resize(Math.round(columns * zoom), Math.round(rows * zoom));
  canvas.style.setProperty('--shape', `${columns} / ${rows}`);
  seen.width = columns;
  seen.height = rows;

  const pixels = () => {
    const pen = /** @type {CanvasRenderingContext2D} */ (seen.getContext('2d', { willReadFrequently: true }));
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(canvas, 0, 0, columns, rows);
    const image = pen.getImageData(0, 0, columns, rows);
    if (inverted.checked) invert(image.data);
    pen.putImageData(image, 0, 0);
    return image.data;
  };
  const describe = () => {
    pixels();
    hint.hidden = !paper.isEmpty;
    const kind = { 1: 'grey', 3: 'red, green, blue', 4: 'red, green, blue, opacity' }[channels];
    const { text } = scalings[scaling.value];
    note.textContent = `The model gets ${columns} × ${rows} pixels, ${kind}, ${text}${inverted.checked ? ', light for dark' : ''}.`;
  };
  const update = () => {
    describe();
    changed();
  };

  /** @param {Blob} file */
  const take = (file) => reporting(async () => {
    const picture = await createImageBitmap(file).catch(() => {
      const name = file instanceof File ? `“${file.name}”` : 'This';
      throw new Problem('bad_input', `${name} is no picture that this browser can read. Take a PNG, JPEG or WebP.`);
    });
    paper.show(picture);
  });
  const camera = () => reporting(async () => {
    const picture = await takePicture();
    if (picture) paper.show(picture);
  });
  /** @param {ClipboardEvent} event */
  const paste = (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'));
    if (file) take(file);
  };
  document.addEventListener('paste', paste);

  const sheet = make('div', { className: 'sheet' }, canvas, hint);
  acceptDrops(sheet, take);
  const actions = make('div', { className: 'actions' },
    ...fileButton('Open file', 'image/*', take),
    button('Camera', camera),
    button('Clear', () => paper.show(null)));
  const invertLabel = make('label', { className: 'check', htmlFor: inverted.id }, inverted, 'Light for dark');
  const settings = make('div', { className: 'settings' },
    labelled('Values', scaling, `${id}-scaling`),
    labelled('Other shapes', fit, `${id}-fit`),
    ...(channels === 1 ? [] : [labelled('Pen', colour, `${id}-pen`)]),
    invertLabel);
  const figure = make('figure', {}, seen, make('figcaption', {}, 'What the model gets'));
  describe();
  return {
    element: make('div', { className: 'picture' }, sheet, actions, make('div', { className: 'gets' }, figure, note),
      make('details', {}, make('summary', {}, 'How the picture becomes values'), settings)),
    claims,
    read(wanted) {
      const last = layout.channels !== null && layout.channels > layout.width;
      const values = toValues(pixels(), channels, last, scalings[scaling.value]);
      return repeated(wholeNumbers ? Array.from(values, Math.round) : values, wanted);
    },
    dispose: () => document.removeEventListener('paste', paste),
  };
}
