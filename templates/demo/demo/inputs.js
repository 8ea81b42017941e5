// One input of the form: its name, the ways in which it may be given, and the editor of the chosen one.

import { labelled, make, select } from './dom.js';
import { formEditor } from './form-editor.js';
import { pictureEditor } from './picture-editor.js';
import { signature } from './sizes.js';
import { soundEditor } from './sound-editor.js';
import { valuesEditor } from './values-editor.js';
import { WAY_NAMES, waysToGive } from './ways.js';

/** @import { DType, Model, TensorInfo } from '../../runtime/neurenix.runtime/types.js' */
/** @import { Editor, EditorContext, Hints, Way } from './types.js' */
/** @import { Sizes } from './sizes.js' */

/** @type {Record<Way, (context: EditorContext) => Editor>} */
const EDITORS = {
  picture: pictureEditor,
  form: formEditor,
  sound: soundEditor,
  tokens: (context) => valuesEditor(context, true),
  values: (context) => valuesEditor(context, false),
};

export class InputField {
  /** @type {Editor} */
  #editor;
  #input;
  #sizes;

  /**
   * @param {Model} model
   * @param {TensorInfo} input
   * @param {Sizes} sizes
   * @param {() => void} changed
   * @param {() => void} claimed called when other dims are decided by what is given
   * @param {Hints} hints
   */
  constructor(model, input, sizes, changed, claimed, hints) {
    this.#input = input;
    this.#sizes = sizes;
    const id = `input-${input.name}`;
    const context = { input, id, sizes, layers: model.layers, hints, changed };
    const ways = waysToGive(input, sizes);
    const heading = make('legend', {}, make('span', { textContent: input.name }), ' ', make('code', { textContent: signature(input) }));
    const way = select(ways.map((each) => /** @type {const} */ ([each, WAY_NAMES[each]])), () => {
      this.#editor.dispose?.();
      const next = EDITORS[/** @type {Way} */ (way.value)](context);
      this.#editor.element.replaceWith(next.element);
      this.#editor = next;
      claimed();
      changed();
    });
    this.#editor = EDITORS[ways[0]](context);
    this.element = make('fieldset', { id }, heading, this.#editor.element);
    if (ways.length > 1) {
      const chooser = labelled('Give it as', way, `${id}-way`);
      chooser.classList.add('way');
      this.element.append(chooser);
    }
  }

  get claims() {
    return this.#editor.claims;
  }

  /**
   * The tensor that the controls stand for. Throws a Problem or a NeurenixError.
   * @param {Model} model
   */
  read(model) {
    const shape = this.#sizes.shape(this.#input);
    const { dtype } = this.#input;
    const values = this.#editor.read(shape);
    if (dtype === 'float32' && values instanceof Float32Array) return model.createTensor(shape, values);
    return model.createTensor(shape, converted(values, dtype), dtype);
  }
}

/**
 * @param {readonly (number | string)[] | Float32Array} values
 * @param {DType} dtype
 */
function converted(values, dtype) {
  const whole = /^u?int64$/.test(dtype);
  return Array.from(values, (value) => (whole ? BigInt(/** @type {number} */ (value)) : Number(value)));
}
