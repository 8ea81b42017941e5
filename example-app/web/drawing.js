// The paper: collects strokes from a mouse, finger or pen on a canvas and paints them sharp on any screen.

/** @typedef {import('./preprocess.js').Stroke} Stroke */

const LINE = 0.052; // of the paper's side

/**
 * Make the canvas a paper. Calls `onChange` whenever the ink changes, `onPenUp` when a stroke ends.
 * @param {HTMLCanvasElement} canvas
 * @param {{ onChange: () => void, onPenUp: () => void }} callbacks
 */
export function createDrawing(canvas, { onChange, onPenUp }) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  /** @type {Stroke[]} */
  let strokes = [];
  /** @type {number | null} the one pointer that draws; other fingers are ignored */
  let pointer = null;

  function paint() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = LINE * canvas.width;
    context.lineCap = context.lineJoin = 'round';
    for (const stroke of strokes) paintStroke(context, stroke, canvas.width);
  }

  function changed() {
    paint();
    onChange();
  }

  /** @param {PointerEvent} event */
  function addPoints(event) {
    const paper = canvas.getBoundingClientRect();
    const stroke = strokes[strokes.length - 1];
    // Between two frames the browser merges moves; the merged ones make quick curves round.
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) {
      const x = clamp((move.clientX - paper.left) / paper.width);
      const y = clamp((move.clientY - paper.top) / paper.height);
      const last = stroke[stroke.length - 1];
      if (!last || Math.hypot(x - last.x, y - last.y) > 0.002) stroke.push({ x, y });
    }
  }

  canvas.addEventListener('pointerdown', (event) => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault(); // no text selection while drawing
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    strokes.push([]);
    addPoints(event);
    changed();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return;
    addPoints(event);
    changed();
  });
  // Capture is lost on pointerup and on pointercancel alike: one end for every stroke.
  canvas.addEventListener('lostpointercapture', (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    onPenUp();
  });

  new ResizeObserver(() => {
    canvas.width = canvas.height = Math.round(canvas.clientWidth * devicePixelRatio);
    paint();
  }).observe(canvas);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);

  return {
    strokes: () => strokes,
    /** Remove the last stroke. */
    undo() {
      pointer = null;
      strokes.pop();
      changed();
    },
    /** Remove all strokes. */
    clear() {
      pointer = null;
      strokes = [];
      changed();
    },
  };
}

/**
 * Paint one stroke as a curve through the middles between its points.
 * @param {CanvasRenderingContext2D} context
 * @param {Stroke} stroke
 * @param {number} side
 */
function paintStroke(context, stroke, side) {
  const [first, ...rest] = stroke;
  context.beginPath();
  context.moveTo(first.x * side, first.y * side);
  let from = first;
  for (const to of rest) {
    context.quadraticCurveTo(from.x * side, from.y * side, ((from.x + to.x) / 2) * side, ((from.y + to.y) / 2) * side);
    from = to;
  }
  context.lineTo(from.x * side, from.y * side);
  context.stroke();
}

/** @param {number} value */
function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
