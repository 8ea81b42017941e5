// The page to try a model on: a form made from the model's signature, and its answer as bars or numbers.

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
  bool: Uint8Array,
};
const MOST_BARS = 32; // a longer vector, or more rows than the next, is shown as numbers
const MOST_ROWS = 8;
const MOST_NUMBERS = 400;
const OPERATORS = {
  '+': (a, b) => a + b,
  '*': (a, b) => a * b,
  '//': (a, b) => Math.floor(a / b),
  max: Math.max,
  min: Math.min,
};

const page = document.documentElement;
const find = (id) => document.getElementById(id);

/** Make an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

function evaluate(size, dims) {
  if (typeof size === 'number') return size;
  if (typeof size === 'string') return dims.get(size);
  return OPERATORS[size[0]](evaluate(size[1], dims), evaluate(size[2], dims));
}

function show(size) {
  if (!Array.isArray(size)) return String(size);
  const [operator, a, b] = [size[0], show(size[1]), show(size[2])];
  return operator.length === 3 ? `${operator}(${a}, ${b})` : `(${a} ${operator} ${b})`;
}

const signature = ({ dtype, shape }) => `${dtype}[${shape.map(show).join(', ')}]`;

function setState(state) {
  page.dataset.state = state;
  find('run').disabled = state === 'running';
}

function fail(error) {
  find('problem').replaceChildren(make('code', { textContent: error.code ?? error.name }), ` ${error.message}`);
  find('problem').hidden = false;
  setState('error');
}

/** One symbolic dim as a number field. */
function dimField({ name, min, max }) {
  const input = make('input', { type: 'number', id: `dim-${name}`, min, max, step: 1, value: min, required: true });
  input.inputMode = 'numeric';
  return make('label', {}, `${name} `, input, make('small', { textContent: `${min} to ${max}` }));
}

const readDims = (model) => new Map(model.dims.map(({ name }) => [name, find(`dim-${name}`).valueAsNumber]));

function random(dtype) {
  if (dtype.startsWith('float')) return Number(Math.random().toFixed(3));
  return Math.floor(Math.random() * (dtype === 'bool' ? 2 : 10));
}

/** One input as a text field, with buttons that fill it. */
function inputField(model, input) {
  const id = `input-${input.name}`;
  const count = () => product(input.shape.map((size) => evaluate(size, readDims(model))));
  const rows = Math.min(8, 2 + Math.floor(count() / 8));
  const area = make('textarea', { id, rows, spellcheck: false, autocomplete: 'off' });
  area.setAttribute('aria-describedby', `${id}-count`);
  const counter = make('small', { id: `${id}-count` });
  const recount = () => {
    const [given, wanted] = [numbersIn(area.value).length, count()];
    counter.textContent = given === wanted ? `${wanted} values` : `${given} of ${wanted} values`;
  };
  const fill = (value) => {
    area.value = Array.from({ length: count() }, value).join(', ');
    recount();
  };
  const button = (text, value) =>
    make('button', { type: 'button', textContent: text, ariaLabel: `${text}: ${input.name}`, onclick: () => fill(value) });
  area.addEventListener('input', recount);
  find('dims').addEventListener('input', recount);
  fill(() => random(input.dtype));
  return make('div', { className: 'field' },
    make('label', { htmlFor: id }, input.name, ' ', make('code', { textContent: signature(input) })),
    area,
    make('div', { className: 'fill' }, button('Random', () => random(input.dtype)), button('Zeros', () => 0), counter));
}

const numbersIn = (text) => text.split(/[\s,;[\]]+/).filter(Boolean);

/** The tensor that a text field holds. */
function readInput({ model, NeurenixError }, { name, dtype, shape }, dims) {
  const words = numbersIn(find(`input-${name}`).value);
  const wrong = words.find((word) => word !== 'NaN' && Number.isNaN(Number(word)));
  if (wrong !== undefined) throw new NeurenixError('bad_input', `${name}: “${wrong}” is no number.`);
  const sizes = shape.map((size) => evaluate(size, dims));
  if (words.length !== product(sizes)) {
    throw new NeurenixError('bad_input',
      `${name} has ${words.length} values; [${sizes.join(', ')}] takes ${product(sizes)}.`);
  }
  const convert = dtype.endsWith('64') && dtype !== 'float64' ? BigInt : Number;
  return model.createTensor(sizes, ARRAYS[dtype].from(words, convert));
}

/** Values as bars from a common zero. Shares of a whole are shown as per cent. */
function bars(values, labels) {
  const share = values.every((v) => v >= 0) && Math.abs(values.reduce((a, b) => a + b, 0) - 1) < 1e-3;
  const finite = values.filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = share ? 1 : Math.max(0, ...finite);
  const span = high - low || 1;
  const best = values.indexOf(Math.max(...finite));
  const list = make('ol', { className: 'bars' });
  values.forEach((value, i) => {
    const bar = make('span', { className: 'bar' });
    if (Number.isFinite(value)) {
      bar.style.setProperty('--from', (Math.min(0, value) - low) / span);
      bar.style.setProperty('--size', Math.abs(value) / span);
    }
    const text = share ? `${(value * 100).toFixed(1)} %` : Number(value.toPrecision(4)).toString().replace('-', '−');
    list.append(make('li', { className: i === best ? 'best' : '' },
      make('span', { className: 'label', textContent: labels?.[i] ?? i, title: labels?.[i] ?? '' }),
      make('span', { className: 'track' }, bar),
      make('span', { className: 'value', textContent: text })));
  });
  return list;
}

function outputView(name, tensor, labels) {
  const { shape, dtype } = tensor;
  const values = Array.from(tensor.data, Number);
  const width = shape.at(-1) ?? 1;
  const rows = Math.ceil(values.length / (width || 1));
  const view = make('article', { id: `output-${name}` },
    make('h2', {}, name, ' ', make('code', { textContent: `${dtype}[${shape.join(', ')}]` })));
  if (width <= MOST_BARS && rows <= MOST_ROWS) {
    for (let row = 0; row < rows; row++) view.append(bars(values.slice(row * width, (row + 1) * width), labels));
  } else {
    const shown = values.slice(0, MOST_NUMBERS).map((v) => Number(v.toPrecision(6)));
    const rest = values.length > MOST_NUMBERS ? ` … ${values.length - MOST_NUMBERS} more` : '';
    view.append(make('pre', { tabIndex: 0, textContent: shown.join('  ') + rest }));
  }
  return view;
}

async function run(loaded, facts) {
  const { model } = loaded;
  setState('running');
  try {
    const dims = readDims(model);
    const inputs = Object.fromEntries(model.inputs.map((input) => [input.name, readInput(loaded, input, dims)]));
    const start = performance.now();
    const outputs = await model.forward(inputs);
    const time = performance.now() - start;
    find('problem').hidden = true;
    const views = model.outputs.map(({ name }, i) => outputView(name, outputs[name], i ? null : model.labels));
    find('results').replaceChildren(...views);
    find('results').hidden = false;
    find('facts').textContent = `${facts} · ${time < 10 ? time.toFixed(2) : Math.round(time)} ms`;
    setState('done');
  } catch (error) {
    fail(error);
  }
}

async function start() {
  const { loadModel, NeurenixError } = await import(new URL(`./${page.dataset.model}.js`, import.meta.url).href);
  const model = await loadModel(undefined, {
    onProgress: ({ loaded, total }) => { find('progress').value = loaded / total; },
  });
  const threads = model.threads === 1 ? '1 thread' : `${model.threads} threads`;
  const facts = `${model.device} · ${model.variant} · ${threads}`;
  find('facts').textContent = facts;
  find('dims').append(...model.dims.map(dimField));
  find('inputs').append(...model.inputs.map((input) => inputField(model, input)));
  const form = find('form');
  form.hidden = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (page.dataset.state !== 'running') run({ model, NeurenixError }, facts);
  });
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  await run({ model, NeurenixError }, facts);
}

start().catch(fail).finally(() => { find('progress').hidden = true; });
