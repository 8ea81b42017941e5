// Makes elements. Text goes in as text: no name of a model, a label or a feature ever becomes markup.

/**
 * An element with properties and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/**
 * An element that the page is known to have.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @returns {E}
 */
export function find(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return /** @type {E} */ (element);
}

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {Partial<HTMLButtonElement>} [properties]
 */
export function button(text, onclick, properties = {}) {
  return make('button', { type: 'button', textContent: text, onclick, ...properties });
}

/**
 * A label above its control, with a remark below that is read out with it.
 * @param {string} text
 * @param {HTMLElement} control it gets the id that the label is for
 * @param {string} id
 * @param {string | Node} [remark]
 */
export function labelled(text, control, id, remark) {
  control.id = id;
  const row = make('div', { className: 'labelled' }, make('label', { htmlFor: id, textContent: text }), control);
  if (remark !== undefined) {
    const note = make('small', { id: `${id}-remark` }, remark);
    control.setAttribute('aria-describedby', note.id);
    row.append(note);
  }
  return row;
}

/**
 * A choice among texts by value.
 * @param {readonly (readonly [string, string])[]} options
 * @param {() => void} onchange
 */
export function select(options, onchange) {
  const entries = options.map(([value, text]) => make('option', { value, textContent: text }));
  return make('select', { onchange }, ...entries);
}

/**
 * A button that opens the browser's dialog for files.
 * @param {string} text
 * @param {string} accept
 * @param {(file: File) => void} take
 */
export function fileButton(text, accept, take) {
  const input = make('input', { type: 'file', accept, hidden: true, ariaLabel: text });
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    input.value = ''; // so that the same file can be chosen again
    if (file) take(file);
  });
  return [button(text, () => input.click()), input];
}

/**
 * Give `take` the first file that is dropped on `target`.
 * @param {HTMLElement} target
 * @param {(file: File) => void} take
 */
export function acceptDrops(target, take) {
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  target.addEventListener('dragleave', () => target.classList.remove('over'));
  target.addEventListener('drop', (event) => {
    event.preventDefault();
    target.classList.remove('over');
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}
