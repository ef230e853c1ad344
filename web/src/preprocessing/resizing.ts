// A picture -> the pixels of an input: what its placement says, by the method that training used. What
// edgedense/images/resizing.py computes.
import { problem } from "../problems";
import { type Axis, isKept, type Placement } from "./fitting";
import { byPillow, METHODS as PILLOWS, nearestOf } from "./pillow";
import { blank, type Pixels } from "./pixels";
import { METHODS, mixColumns, mixRow, pair, SMOOTHING, type Taps, taps } from "./resampling";

/** Black where the placement puts nothing. */
export function resized(picture: Pixels, { rows, columns }: Placement, method: string): Pixels {
  const inside = insideOf(picture, rows, columns, method);
  if (inside.height === rows.length && inside.width === columns.length) return inside;
  const whole = blank(rows.length, columns.length, picture.channels);
  const length = inside.width * picture.channels;
  for (let y = 0; y < inside.height; y++)
    whole.data.set(
      inside.data.subarray(y * length, (y + 1) * length),
      ((y + rows.place) * columns.length + columns.place) * picture.channels,
    );
  return whole;
}

function insideOf(picture: Pixels, rows: Axis, columns: Axis, method: string): Pixels {
  if (isKept(rows) && isKept(columns) && !SMOOTHING.includes(method)) return at(picture, kept(rows), kept(columns));
  if (PILLOWS.includes(method)) return byPillow(picture, rows, columns, method);
  if (method === "nearest") return at(picture, nearestOf(rows), nearestOf(columns));
  if (method === "bilinear") return bilinear(picture, rows, columns);
  if (METHODS.includes(method)) return weighted(picture, rows, columns, method);
  throw problem("a way of resizing that this page knows", method, "make the page again with the edgedense that made the model");
}

function kept(one: Axis): Int32Array {
  return Int32Array.from({ length: one.last - one.first }, (_, i) => one.start + one.first + i);
}

/** The pixels where `rows` and `columns` cross. */
function at(picture: Pixels, rows: Int32Array, columns: Int32Array): Pixels {
  const { channels, data, width } = picture;
  const found = blank(rows.length, columns.length, channels);
  let to = 0;
  for (const y of rows)
    for (const x of columns) for (let c = 0; c < channels; c++) found.data[to++] = data[(y * width + x) * channels + c]!;
  return found;
}

/** low + (high - low) * share, in float32. */
function mix(low: number, high: number, share: number): number {
  return Math.fround(low + Math.fround(Math.fround(high - low) * share));
}

/** Rows are mixed first and then columns, as there: the order decides about the last bit. */
function bilinear(picture: Pixels, rows: Axis, columns: Axis): Pixels {
  const { channels, data, width } = picture;
  const found = blank(rows.last - rows.first, columns.last - columns.first, channels);
  const across = Array.from({ length: found.width }, (_, i) => pairOf(columns, i));
  let to = 0;
  for (let y = 0; y < found.height; y++) {
    const down = pairOf(rows, y);
    const [above, below] = [down.low * width, down.high * width];
    for (const { low, high, share } of across)
      for (let c = 0; c < channels; c++) {
        const left = mix(data[(above + low) * channels + c]!, data[(below + low) * channels + c]!, down.share);
        const right = mix(data[(above + high) * channels + c]!, data[(below + high) * channels + c]!, down.share);
        found.data[to++] = Math.fround(mix(left, right, share) + 0.5);
      }
  }
  return found;
}

function pairOf(one: Axis, i: number): { low: number; high: number; share: number } {
  const { low, high, share } = pair(one.stop - one.start, one.resized, one.first + i);
  return { low: low + one.start, high: high + one.start, share };
}

/** With as many taps as the method has; rounded to the nearest level, and cut off at black and white. */
function weighted(picture: Pixels, rows: Axis, columns: Axis, method: string): Pixels {
  const { channels, data, width } = picture;
  const [down, across] = [wanted(rows, method), wanted(columns, method)];
  const found = blank(rows.last - rows.first, columns.last - columns.first, channels);
  const between = new Float32Array(width * channels);
  const row = new Float32Array(found.width * channels);
  const line = (place: number) => data.subarray(place * between.length, (place + 1) * between.length);
  for (let y = 0; y < found.height; y++) {
    mixRow(down, y, line, between);
    mixColumns(across, between, channels, row);
    levels(row, found.data.subarray(y * row.length));
  }
  return found;
}

/** The taps of those new positions that get into the input, among the picture's positions. */
function wanted(one: Axis, method: string): Taps {
  const { places, shares } = taps(one.stop - one.start, one.resized, method);
  return {
    places: places.map((each) => each.slice(one.first, one.last).map((place) => place + one.start)),
    shares: shares.map((each) => each.slice(one.first, one.last)),
  };
}

/** float32 -> the nearest levels. What a kernel puts beyond black and white is cut. */
export function levels(values: Float32Array, into: Uint8Array): void {
  values.forEach((value, i) => (into[i] = Math.min(Math.max(Math.fround(value + 0.5), 0), 255)));
}
