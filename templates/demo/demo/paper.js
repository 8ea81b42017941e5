// The paper: a canvas with a picture below and strokes above, drawn by mouse, finger or pen.

/** How a picture that has another shape than the paper is laid on it. */
export const FITS = /** @type {const} */ ([
  ['fill', 'Fill, cut the rest'],
  ['fit', 'Fit, with margins'],
  ['stretch', 'Stretch'],
]);

export class Paper {
  /** @type {ImageBitmap | null} */
  #picture = null;
  /** @type {{ colour: string, points: { x: number, y: number }[] }[]} */
  #strokes = [];
  fit = 'fill';
  colour = '#000000';
  /** Called when a stroke ends or the picture changes. */
  changed;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} changed
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    canvas.addEventListener('pointerdown', (event) => this.#begin(event));
    canvas.addEventListener('pointermove', (event) => this.#continue(event));
    for (const end of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(end, (event) => this.#end(/** @type {PointerEvent} */ (event)));
    }
  }

  get isEmpty() {
    return !this.#picture && this.#strokes.length === 0;
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    this.canvas.width = width;
    this.canvas.height = height;
    this.draw();
  }

  /** @param {ImageBitmap | null} picture */
  show(picture) {
    this.#picture?.close();
    this.#picture = picture;
    this.#strokes = [];
    this.draw();
    this.changed();
  }

  draw() {
    const { canvas } = this;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    pen.fillStyle = '#ffffff';
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (this.#picture) this.#drawPicture(pen, this.#picture);
    pen.lineCap = pen.lineJoin = 'round';
    pen.lineWidth = Math.max(canvas.width, canvas.height) / 14;
    for (const { colour, points } of this.#strokes) {
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.moveTo(points[0].x, points[0].y);
      for (const { x, y } of points) pen.lineTo(x, y); // to its own place too: a tap is a dot
      pen.stroke();
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {ImageBitmap} picture
   */
  #drawPicture(pen, picture) {
    const { width, height } = this.canvas;
    const across = width / picture.width;
    const down = height / picture.height;
    const scale = this.fit === 'fill' ? Math.max(across, down) : Math.min(across, down);
    const w = this.fit === 'stretch' ? width : picture.width * scale;
    const h = this.fit === 'stretch' ? height : picture.height * scale;
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.#strokes.push({ colour: this.colour, points: [this.#place(event)] });
    this.draw();
  }

  /** @param {PointerEvent} event */
  #continue(event) {
    if (!this.canvas.hasPointerCapture(event.pointerId)) return;
    this.#strokes.at(-1)?.points.push(this.#place(event));
    this.draw();
  }

  /** @param {PointerEvent} event */
  #end(event) {
    if (!this.canvas.hasPointerCapture(event.pointerId)) return;
    this.canvas.releasePointerCapture(event.pointerId);
    this.changed();
  }

  /** @param {PointerEvent} event */
  #place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.canvas;
    return { x: ((clientX - box.left) / box.width) * width, y: ((clientY - box.top) / box.height) * height };
  }
}
