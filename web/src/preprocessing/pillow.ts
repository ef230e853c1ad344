// Pillow's resizing, which antialiases, in Pillow's own arithmetic: kernels in double precision, shares as whole numbers
// of 22 bits, sums in 32 (its src/libImaging/Resample.c). And its nearest neighbour (Geometry.c).
import type { Axis } from "./fitting";
import { position } from "./fitting";
import { blank, type Pixels } from "./pixels";

const BITS = 22;
const BETWEEN = 1 << 18; // as _BETWEEN of edgedense/images/resizing.py, by which a tall picture is cut into parts

/** The kernel, and how many pixels it reaches to either side where the picture does not get smaller. */
const KERNELS: Record<string, [(x: number) => number, number]> = {
  "pil-bilinear": [triangle, 1],
  "pil-bicubic": [cubic, 2],
  "pil-lanczos": [lanczos, 3],
};

export const METHODS = Object.keys(KERNELS);

/** Rows are done in parts of the same height as there: a part's edges are float32, so that its place in the picture
 * decides about the last bit of a share. */
export function byPillow(picture: Pixels, rows: Axis, columns: Axis, method: string): Pixels {
  const [kernel, reach] = KERNELS[method]!;
  const width = columns.last - columns.first;
  const height = rows.last - rows.first;
  const scale = (rows.stop - rows.start) / rows.resized;
  const step = Math.max(1, Math.trunc(BETWEEN / (width * Math.max(scale, 1))));
  const found = blank(height, width, picture.channels);
  const [left, right] = [position(columns, columns.first), position(columns, columns.last)];
  const across = shares(picture.width, left, right, width, kernel, reach);
  for (let start = 0; start < height; start += step) {
    const stop = Math.min(start + step, height);
    const [low, high] = [position(rows, rows.first + start), position(rows, rows.first + stop)];
    const first = Math.max(0, Math.trunc(low - reach * Math.max(scale, 1)) - 1);
    const last = Math.min(rows.size, Math.trunc(high + reach * Math.max(scale, 1)) + 2);
    const between = narrowed(picture, first, last, across);
    const down = shares(last - first, low - first, high - first, stop - start, kernel, reach);
    shortened(between, down, found.data.subarray(start * width * picture.channels));
  }
  return found;
}

/** Which positions Pillow's nearest neighbour takes: it adds up the steps from one to the next. */
export function nearestOf(one: Axis): Int32Array {
  const size = one.stop - one.start;
  const scale = size / one.resized;
  const found = new Int32Array(one.resized);
  let at = scale * 0.5;
  for (let i = 0; i < one.resized; i++, at += scale) found[i] = one.start + Math.trunc(at);
  return found.slice(one.first, one.last);
}

interface Share {
  first: number;
  weights: Int32Array;
}

/** Of each new position the first old one that it mixes, and the shares from there on; null where all stays. */
function shares(
  size: number, from: number, to: number, length: number, kernel: (x: number) => number, reach: number,
): Share[] | null {
  const [start, stop] = [Math.fround(from), Math.fround(to)]; // Pillow's box is float32
  if (length === size && start === 0 && stop === size) return null;
  const scale = Math.fround(stop - start) / length;
  const wide = Math.max(scale, 1);
  const support = reach * wide;
  return Array.from({ length }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), size);
    const values = Array.from({ length: last - first }, (_, k) => kernel((k + first - centre + 0.5) * (1 / wide)));
    const total = values.reduce((sum, value) => sum + value, 0);
    return { first, weights: Int32Array.from(values, (value) => whole(total === 0 ? value : value / total)) };
  });
}

function whole(share: number): number {
  return Math.trunc((share < 0 ? -0.5 : 0.5) + share * (1 << BITS));
}

/** The rows from `first` to before `last`, their columns resized. */
function narrowed(picture: Pixels, first: number, last: number, across: Share[] | null): Pixels {
  const { channels, width } = picture;
  const rows = picture.data.subarray(first * width * channels, last * width * channels);
  if (across === null) return { height: last - first, width, channels, data: rows };
  const found = blank(last - first, across.length, channels);
  for (let y = 0, at = 0; y < found.height; y++)
    for (const share of across)
      for (let c = 0; c < channels; c++)
        found.data[at++] = mixed(rows, (y * width + share.first) * channels + c, channels, share.weights);
  return found;
}

/** The rows resized, written `into` an array that is long enough. */
function shortened(picture: Pixels, down: Share[] | null, into: Uint8Array): void {
  const length = picture.width * picture.channels;
  if (down === null) return into.set(picture.data);
  down.forEach((share, y) => {
    for (let i = 0; i < length; i++)
      into[y * length + i] = mixed(picture.data, share.first * length + i, length, share.weights);
  });
}

function mixed(levels: Uint8Array, start: number, step: number, weights: Int32Array): number {
  let sum = 1 << (BITS - 1);
  for (let k = 0, at = start; k < weights.length; k++, at += step) sum += levels[at]! * weights[k]!;
  return Math.min(Math.max(sum >> BITS, 0), 255);
}

function triangle(x: number): number {
  return Math.max(1 - Math.abs(x), 0);
}

function cubic(x: number): number {
  const a = -0.5;
  const far = Math.abs(x);
  if (far < 1) return ((a + 2) * far - (a + 3)) * far * far + 1;
  return far < 2 ? (((far - 5) * far + 8) * far - 4) * a : 0;
}

function lanczos(x: number): number {
  return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function sinc(x: number): number {
  const y = x * Math.PI;
  return x === 0 ? 1 : Math.sin(y) / y;
}
