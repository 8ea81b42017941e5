// Turns pen strokes into the picture that the model was trained on: a 28x28 MNIST digit, values 0..1.
//
// MNIST's digits fill a 20x20 box, keep their proportions, and sit with their centre of mass in the middle.
// The strokes are drawn at that size from their points, so no pixels are ever scaled.

/** @typedef {{ x: number, y: number }} Point  in the unit square, y downwards */
/** @typedef {Point[]} Stroke */
/** @typedef {{ left: number, top: number, width: number, height: number }} Box */

export const SIDE = 28;

const BOX = 20;
const LINE = 2.5; // pixels; gives the training images' average amount of ink
const CENTRE = 14.5; // where the training images have their centre of mass, the top left corner being 0
const SMALLEST = 0.08; // drawings smaller than this part of the paper are not blown up further: a dot stays a dot

/**
 * Return the digit as SIDE * SIDE values, row by row, or null when nothing is drawn.
 * @param {Stroke[]} strokes
 * @returns {Float32Array | null}
 */
export function prepare(strokes) {
  const box = bounds(strokes);
  if (!box) return null;
  const scale = (BOX - LINE) / Math.max(box.width, box.height, SMALLEST);
  let dx = CENTRE - (box.left + box.width / 2) * scale;
  let dy = CENTRE - (box.top + box.height / 2) * scale;
  const mass = centreOfMass(render(strokes, scale, dx, dy));
  dx += CENTRE - mass.x;
  dy += CENTRE - mass.y;
  return render(strokes, scale, dx, dy);
}

/**
 * @param {Stroke[]} strokes
 * @returns {Box | null}
 */
function bounds(strokes) {
  let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
  for (const stroke of strokes) {
    for (const { x, y } of stroke) {
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return left <= right ? { left, top, width: right - left, height: bottom - top } : null;
}

/**
 * Draw the strokes as anti-aliased round lines: a pixel's value is how far it lies inside the line.
 * @param {Stroke[]} strokes
 * @param {number} scale
 * @param {number} dx
 * @param {number} dy
 */
function render(strokes, scale, dx, dy) {
  const pixels = new Float32Array(SIDE * SIDE);
  for (const stroke of strokes) {
    const points = stroke.map(({ x, y }) => ({ x: x * scale + dx, y: y * scale + dy }));
    points.forEach((to, i) => drawLine(pixels, points[Math.max(i - 1, 0)], to));
  }
  return pixels;
}

/**
 * @param {Float32Array} pixels
 * @param {Point} from
 * @param {Point} to
 */
function drawLine(pixels, from, to) {
  const reach = LINE / 2 + 1;
  const firstColumn = Math.max(0, Math.floor(Math.min(from.x, to.x) - reach));
  const lastColumn = Math.min(SIDE - 1, Math.ceil(Math.max(from.x, to.x) + reach));
  const firstRow = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
  const lastRow = Math.min(SIDE - 1, Math.ceil(Math.max(from.y, to.y) + reach));
  for (let row = firstRow; row <= lastRow; row++) {
    for (let column = firstColumn; column <= lastColumn; column++) {
      const distance = distanceToLine(column + 0.5, row + 0.5, from, to);
      const value = Math.min(1, Math.max(0, LINE / 2 + 0.5 - distance));
      const i = row * SIDE + column;
      if (value > pixels[i]) pixels[i] = value;
    }
  }
}

/**
 * @param {number} x
 * @param {number} y
 * @param {Point} from
 * @param {Point} to
 */
function distanceToLine(x, y, from, to) {
  const ex = to.x - from.x, ey = to.y - from.y;
  const length = ex * ex + ey * ey;
  const along = length > 0 ? ((x - from.x) * ex + (y - from.y) * ey) / length : 0;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(x - from.x - t * ex, y - from.y - t * ey);
}

/**
 * @param {Float32Array} pixels
 * @returns {Point}
 */
function centreOfMass(pixels) {
  let total = 0, x = 0, y = 0;
  pixels.forEach((value, i) => {
    total += value;
    x += value * ((i % SIDE) + 0.5);
    y += value * (Math.floor(i / SIDE) + 0.5);
  });
  return { x: x / total, y: y / total };
}
