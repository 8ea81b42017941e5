// An input that is a sound: record it or choose a file; it is resampled, and cut or padded to the model's length.

import { openDevice } from './camera.js';
import { acceptDrops, button, fileButton, labelled, make, select } from './dom.js';
import { Problem, reporting } from './problem.js';
import { repeated } from './sizes.js';

/** @import { Editor, EditorContext } from './types.js' */

const RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000];
const USUAL_RATE = 16000;

/**
 * @param {EditorContext} context
 * @returns {Editor}
 */
export function soundEditor({ input, id, sizes, hints, changed }) {
  const last = /** @type {number | string} */ (input.shape.at(-1));
  const longest = typeof last === 'string' ? sizes.range(last).max : last;
  /** @type {ArrayBuffer | null} the file as it came, to be decoded again at another rate */
  let file = null;
  let samples = new Float32Array(0);
  /** @type {MediaRecorder | null} */
  let recorder = null;

  const wave = make('canvas', { className: 'wave', width: 640, height: 120, role: 'img', ariaLabel: `Sound for ${input.name}` });
  const note = make('p', { className: 'note' });
  const rates = [...new Set([...RATES, hints.sampleRate ?? USUAL_RATE])].sort((a, b) => a - b);
  const rate = select(rates.map((each) => /** @type {const} */ ([String(each), String(each)])), () => reporting(decode));
  rate.value = String(hints.sampleRate ?? USUAL_RATE);

  /** @param {Float32Array<ArrayBuffer>} heard */
  const hear = (heard) => {
    samples = heard.slice(0, longest);
    if (typeof last === 'string') sizes.set(last, samples.length);
    const [takes, seconds] = [sizes.evaluate(last), heard.length / Number(rate.value)];
    const fate = heard.length > takes ? `the model gets the first ${takes}`
      : heard.length < takes ? `silence fills them up to ${takes}` : 'the model gets them all';
    note.textContent = heard.length === 0
      ? `Silence. The model gets ${takes} samples, −1 to 1, one channel.`
      : `${seconds.toFixed(2)} s, ${heard.length} samples: ${fate}.`;
    drawWave(wave, samples);
  };
  const decode = async () => {
    if (file) {
      // A context of this rate resamples what it decodes, and needs no leave to play.
      const context = new OfflineAudioContext(1, 1, Number(rate.value));
      const sound = await context.decodeAudioData(file.slice(0)).catch(() => {
        throw new Problem('bad_input', 'This is no sound that this browser can read. Take a WAV, MP3 or Ogg file.');
      });
      hear(mixed(sound));
    } else hear(tone(0, 0, Number(rate.value)));
    changed();
  };
  /** @param {Blob} blob */
  const take = (blob) => reporting(async () => {
    file = await blob.arrayBuffer();
    await decode();
  });
  const record = () => reporting(async () => {
    if (recorder) {
      recorder.stop();
      return;
    }
    const stream = await openDevice({ audio: true }, 'microphone');
    /** @type {Blob[]} */
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener('dataavailable', ({ data }) => parts.push(data));
    recorder.addEventListener('stop', () => {
      for (const track of stream.getTracks()) track.stop();
      recorder = null;
      recording.textContent = 'Record';
      take(new Blob(parts));
    });
    recorder.start();
    recording.textContent = 'Stop';
  });
  const recording = button('Record', record);
  const box = make('div', { className: 'sheet' }, wave);
  acceptDrops(box, take);
  hear(samples);
  return {
    element: make('div', { className: 'sound' }, box, note, make('div', { className: 'actions' }, recording,
      ...fileButton('Open file', 'audio/*', take),
      button('Tone', () => {
        file = null;
        hear(tone(440, 1, Number(rate.value)));
        changed();
      })), labelled('Samples per second', rate, `${id}-rate`)),
    claims: input.shape.filter((size) => typeof size === 'string'),
    read(shape) {
      const values = new Float32Array(shape.at(-1) ?? 1);
      values.set(samples.subarray(0, values.length));
      return repeated(values, shape);
    },
    dispose: () => recorder?.stop(),
  };
}

/**
 * All channels as one.
 * @param {AudioBuffer} sound
 */
function mixed(sound) {
  const values = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, i) => { values[i] += value / sound.numberOfChannels; });
  }
  return values;
}

/**
 * @param {number} frequency
 * @param {number} seconds
 * @param {number} rate
 */
function tone(frequency, seconds, rate) {
  return Float32Array.from({ length: seconds * rate }, (_, i) => 0.5 * Math.sin((2 * Math.PI * frequency * i) / rate));
}

/**
 * The loudest and the quietest sample of each column.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} samples
 */
function drawWave(canvas, samples) {
  const { width, height } = canvas;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color || 'currentColor';
  for (let x = 0; x < width; x++) {
    const part = samples.subarray(Math.floor((x * samples.length) / width), Math.ceil(((x + 1) * samples.length) / width));
    const [low, high] = part.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]);
    pen.fillRect(x, ((1 - high) / 2) * height, 1, Math.max(1, ((high - low) / 2) * height));
  }
}
