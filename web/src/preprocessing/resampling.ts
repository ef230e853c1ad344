// TensorFlow's resizing as taps: for every output position the input positions that it mixes, and the share of each.
// What edgedense/images/resampling.py computes, operation by operation: `f` rounds to float32 where that does.
import { rint } from "./pixels";

export const METHODS = ["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"];
/** They change what has the size already. */
export const SMOOTHING = ["gaussian", "mitchellcubic"];

/** `places[k]` and `shares[k]`, one a new position: the k-th position that is mixed, and how much of it. */
export interface Taps {
  places: Int32Array[];
  shares: Float32Array[];
}

/** float32 values, row by row, the channels of a pixel side by side. */
export interface Floats {
  height: number;
  width: number;
  channels: number;
  data: Float32Array;
}

type Round = (value: number) => number;
type Kernel = (x: number) => number;
const f: Round = Math.fround;
const exact: Round = (value) => value;
const TABLE = 1024; // resize_bicubic_op looks its kernel up in a table of so many steps between two pixels

/** How `size` pixels along one axis become `resized`. */
export function taps(size: number, resized: number, method: string, antialias = false): Taps {
  if (method === "nearest") return nearest(size, resized);
  if (method === "area") return overlaps(size, resized);
  if (method === "bilinear" && !antialias) return bilinear(size, resized);
  if (method === "bicubic" && !antialias) return bicubic(size, resized);
  const [kernel, radius] = KERNELS[method]!;
  return spans(size, resized, kernel, radius, antialias);
}

/** Neither rounded nor cut to a range. */
export function resample(image: Floats, height: number, width: number, method: string, antialias: boolean): Floats {
  const smooths = SMOOTHING.includes(method);
  if (image.height !== height || smooths) image = mixedRows(image, taps(image.height, height, method, antialias));
  if (image.width !== width || smooths) image = mixedColumns(image, taps(image.width, width, method, antialias));
  return image;
}

/** One row of values out of several, each times its share, added up in float32. `row(place)` gives a place's. */
export function mixRow(chosen: Taps, y: number, row: (place: number) => ArrayLike<number>, into: Float32Array): void {
  chosen.places.forEach((places, k) => {
    const values = row(places[y]!);
    const share = chosen.shares[k]![y]!;
    if (k === 0) for (let i = 0; i < into.length; i++) into[i] = values[i]! * share;
    else for (let i = 0; i < into.length; i++) into[i] = into[i]! + f(values[i]! * share);
  });
}

/** A row's pixels out of several of its positions. */
export function mixColumns(chosen: Taps, row: Float32Array, channels: number, into: Float32Array): void {
  const width = into.length / channels;
  chosen.places.forEach((places, k) => {
    const shares = chosen.shares[k]!;
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) {
        const term = f(row[places[x]! * channels + c]! * shares[x]!);
        into[x * channels + c] = k === 0 ? term : into[x * channels + c]! + term;
      }
  });
}

function mixedRows(image: Floats, chosen: Taps): Floats {
  const height = chosen.places[0]!.length;
  const length = image.width * image.channels;
  const data = new Float32Array(height * length);
  const row = (place: number) => image.data.subarray(place * length, (place + 1) * length);
  for (let y = 0; y < height; y++) mixRow(chosen, y, row, data.subarray(y * length, (y + 1) * length));
  return { ...image, height, data };
}

function mixedColumns(image: Floats, chosen: Taps): Floats {
  const width = chosen.places[0]!.length;
  const [from, to] = [image.width * image.channels, width * image.channels];
  const data = new Float32Array(image.height * to);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * from, (y + 1) * from);
    mixColumns(chosen, row, image.channels, data.subarray(y * to, (y + 1) * to));
  }
  return { ...image, width, data };
}

/** Where each output pixel's centre lies in the input. */
function centre(size: number, resized: number): (i: number) => number {
  const scale = f(size / resized);
  return (i) => f(f(i + 0.5) * scale);
}

function nearest(size: number, resized: number): Taps {
  const at = centre(size, resized);
  const places = Int32Array.from({ length: resized }, (_, i) => Math.min(Math.floor(at(i)), size - 1));
  return { places: [places], shares: [new Float32Array(resized).fill(1)] };
}

/** The two positions that TensorFlow's bilinear kernel mixes, and the share of the second. */
export function pair(size: number, resized: number, i: number): { low: number; high: number; share: number } {
  const at = f(centre(size, resized)(i) - 0.5);
  const floor = Math.floor(at);
  return { low: Math.max(floor, 0), high: Math.min(Math.ceil(at), size - 1), share: f(at - floor) };
}

function bilinear(size: number, resized: number): Taps {
  const pairs = Array.from({ length: resized }, (_, i) => pair(size, resized, i));
  return {
    places: [Int32Array.from(pairs, (one) => one.low), Int32Array.from(pairs, (one) => one.high)],
    shares: [Float32Array.from(pairs, (one) => 1 - one.share), Float32Array.from(pairs, (one) => one.share)],
  };
}

/** Keys' cubic with a = -0.5; taps beyond the border are left out, and the others share what is missing. */
function bicubic(size: number, resized: number): Taps {
  const at = centre(size, resized);
  const rows = Array.from({ length: resized }, (_, i) => {
    const place = f(at(i) - 0.5);
    const floor = Math.floor(place);
    const step = rint(f(f(place - floor) * TABLE)) / TABLE;
    return [-1, 0, 1, 2].map((offset) => {
      const index = floor + offset;
      const inside = index >= 0 && index < size;
      return {
        place: Math.min(Math.max(index, 0), size - 1),
        share: inside ? keysCubic(Math.abs(step - offset), exact) : 0,
      };
    });
  });
  const total = (row: Tap[]) => row.reduce((sum, tap) => sum + tap.share, 0);
  return columnwise(rows.map((row) => row.map((tap) => ({ ...tap, share: tap.share / total(row) }))));
}

/** The share of each output pixel's width that each input pixel covers. */
function overlaps(size: number, resized: number): Taps {
  const scale = size / resized;
  const rows = Array.from({ length: resized }, (_, i) => {
    const start = i * scale;
    return Array.from({ length: Math.ceil(scale) + 1 }, (_, k) => {
      const place = Math.floor(start) + k;
      const covered = Math.min(start + scale, place + 1) - Math.max(start, place);
      return { place, share: Math.max(covered, 0) / scale };
    });
  });
  return within(size, rows);
}

/** The kernel around each output pixel's centre, wider by the scale with antialiasing. */
function spans(size: number, resized: number, kernel: Kernel, radius: number, antialias: boolean): Taps {
  const scale = f(1 / f(resized / size));
  const wide = antialias ? Math.max(scale, 1) : 1;
  const reach = f(radius * wide);
  const narrow = f(1 / wide);
  const rows = Array.from({ length: resized }, (_, i) => {
    const middle = f(f(i + 0.5) * scale);
    const first = Math.max(Math.ceil(f(f(middle - reach) - 0.5)), 0);
    const last = Math.floor(f(f(middle + reach) - 0.5));
    const row = Array.from({ length: Math.trunc(2 * reach) + 2 }, (_, k) => {
      const place = first + k;
      const distance = f(Math.abs(f(f(place + 0.5) - middle)) * narrow);
      return { place, share: place < size && place <= last ? kernel(distance) : 0 };
    });
    const total = pairwise(row.map((tap) => tap.share));
    return row.map((tap) => ({ ...tap, share: tap.share / total }));
  });
  return within(size, rows);
}

interface Tap {
  place: number;
  share: number;
}

/** Taps [new position][k] without those behind the picture's border. */
function within(size: number, rows: Tap[][]): Taps {
  let used = 1;
  for (const row of rows) row.forEach((tap, k) => (used = tap.place < size && tap.share !== 0 ? Math.max(used, k + 1) : used));
  return columnwise(
    rows.map((row) =>
      row.slice(0, used).map(({ place, share }) => (place < size ? { place, share } : { place: size - 1, share: 0 })),
    ),
  );
}

function columnwise(rows: Tap[][]): Taps {
  const count = rows[0]!.length;
  const each = Array.from({ length: count }, (_, k) => rows.map((row) => row[k]!));
  return {
    places: each.map((column) => Int32Array.from(column, (tap) => tap.place)),
    shares: each.map((column) => Float32Array.from(column, (tap) => tap.share)),
  };
}

/** A sum in the order in which NumPy adds up numbers that lie side by side. */
function pairwise(values: number[]): number {
  const count = values.length;
  if (count < 8) return values.reduce((sum, value) => sum + value, 0);
  if (count > 128) {
    const half = Math.floor(count / 2) - (Math.floor(count / 2) % 8);
    return pairwise(values.slice(0, half)) + pairwise(values.slice(half));
  }
  const r = values.slice(0, 8);
  let i = 8;
  for (; i + 8 <= count; i += 8) for (let k = 0; k < 8; k++) r[k] = r[k]! + values[i + k]!;
  let sum = r[0]! + r[1]! + (r[2]! + r[3]!) + (r[4]! + r[5]! + (r[6]! + r[7]!));
  for (; i < count; i++) sum += values[i]!;
  return sum;
}

function keysCubic(x: number, r: Round): number {
  if (x <= 1) return r(r(r(r(r(1.5 * x) - 2.5) * x) * x) + 1);
  if (x >= 2) return 0;
  return r(r(r(r(r(r(-0.5 * x) + 2.5) * x) - 4) * x) + 2);
}

function mitchellCubic(x: number): number {
  if (x < 1) return f(f(f(f(f(f(7 * x) - 12) * x) * x) + f(16 / 3)) / 6);
  if (x >= 2) return 0;
  return f(f(f(f(f(f(f(f(f(-7 / 3) * x) + 12) * x) - 20) * x) + f(32 / 3)) / 6));
}

function sinc(x: number): number {
  const y = Math.PI * (x === 0 ? 1e-20 : x);
  return Math.sin(y) / y;
}

function lanczos(radius: number): Kernel {
  return (x) => (x <= radius ? sinc(x) * sinc(x / radius) : 0);
}

const KERNELS: Record<string, [Kernel, number]> = {
  bilinear: [(x) => Math.max(f(1 - x), 0), 1],
  bicubic: [(x) => keysCubic(x, f), 2],
  mitchellcubic: [mitchellCubic, 2],
  lanczos3: [lanczos(3), 3],
  lanczos5: [lanczos(5), 5],
  gaussian: [(x) => (x < 1.5 ? Math.exp(-(x ** 2) / (2 * 0.5 ** 2)) : 0), 1.5],
};
