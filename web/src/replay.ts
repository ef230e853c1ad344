// Golden samples: does the model compute here what it computed where it was made? What `replay` of
// edgedense/deployed/golden.py compares, and what `edgedense validate` says of it.
import { type Values, valuesOf } from "./arrays";
import type { Golden, Replay, Site } from "./contract";
import type { Pixels } from "./preprocessing/pixels";
import { rint } from "./preprocessing/pixels";
import { problem } from "./problems";

const MARGIN = 0.1; // other kernels may flip a label only where the two best scores were closer than this
const FLOAT_STEP = 1 / 256;
const LOWEST = { float32: 0, uint8: 0, int8: -128 };

/** The inputs of the samples out of their file, in which they stand one behind the other. */
export function probes(content: Uint8Array, site: Site): Pixels[] {
  const { height, width, channels } = site.input;
  const [size, count] = [height * width * channels, site.golden?.count ?? 0];
  if (content.length !== size * count)
    throw problem(`golden samples of ${size * count} bytes`, `${content.length}`, "make the site again with edgedense web");
  const at = (i: number) => content.slice(i * size, (i + 1) * size);
  return Array.from({ length: count }, (_, i) => ({ height, width, channels, data: at(i) }));
}

/** `here`: the raw outputs for each sample, computed here. */
export function replayed(golden: Golden, here: Values[]): Replay {
  const made = rows(valuesOf(golden.outputs, golden.dtype), golden.count);
  if (here.some((row, i) => row.length !== made[i]!.length || row.constructor !== made[i]!.constructor))
    throw problem("outputs as the golden samples have them", "others", "make the site again with edgedense web");
  const steps = here.map((row, i) => Array.from(row, (value, k) => stepsApart(golden, value, made[i]![k]!, k))).flat();
  const [before, now] = [made, here].map((outputs) => outputs.map((row) => scores(golden, row)));
  const largest = Math.max(...now!.map((row, i) => Math.max(...row.map((value, k) => Math.abs(value - before![i]![k]!)))));
  const flips = golden.values ? [] : before!.flatMap((row, i) => (best(row) === best(now![i]!) ? [] : [margin(row)]));
  const most = golden.values ? rint(MARGIN / FLOAT_STEP) : Infinity;
  const passed = Math.max(...steps) <= most && flips.every((one) => one <= MARGIN);
  const bitEqual = here.every((row, i) => sameBits(row, made[i]!));
  const found = { samples: golden.count, passed, bitEqual, flipped: flips.length, largest };
  return { ...found, sentence: sentence(found, steps, golden.values !== null) };
}

/** The limit is that of `validate` for other kernels than those that made the samples, which a browser's always are. */
function sentence(found: Omit<Replay, "sentence">, steps: number[], areValues: boolean): string {
  const off = steps.filter((step) => step > 0);
  const apart = `${off.length} of ${steps.length} values off by up to ${Math.max(...off, 0)} ${plural("step", Math.max(...off, 0))}`;
  const flipped = areValues ? "" : `, ${found.flipped || "no"} ${plural("label", found.flipped || 1)} changed`;
  if (!found.passed) {
    const limit = areValues ? `no value differs by more than ${rint(MARGIN / FLOAT_STEP)} steps` : `no label changes whose margin was above ${MARGIN}`;
    return `Not as where the file was made (${limit}): ${apart}${flipped}. Load the page again; if that does not help, make it again with edgedense web.`;
  }
  const samples = `${found.samples} ${plural("sample", found.samples)}`;
  if (found.bitEqual) return `${samples} equal, to the bit`;
  if (off.length === 0) return `${samples} equal, scores within ${found.largest.toExponential(1)}`;
  return `${samples} agree${found.samples === 1 ? "s" : ""}: ${apart}${flipped}`;
}

function plural(word: string, count: number): string {
  return count === 1 ? word : `${word}s`;
}

function rows(values: Values, count: number): Values[] {
  const length = values.length / count;
  return Array.from({ length: count }, (_, i) => values.subarray(i * length, (i + 1) * length));
}

/** Differences in whole steps, so that the last bits of an exponential count as none. */
function stepsApart(golden: Golden, here: number, made: number, k: number): number {
  const difference = Math.abs(here - made);
  return golden.dtype === "float32" ? rint(difference / (golden.values?.steps[k] ?? golden.step)) : difference;
}

/** Raw outputs as scores; the lowest value of a quantized output means 0, unless it is one of values. */
function scores(golden: Golden, row: Values): number[] {
  if (golden.dtype === "float32") return Array.from(row);
  const zero = golden.values?.zero_point ?? LOWEST[golden.dtype];
  return Array.from(row, (value, k) => (value - zero) * (golden.values?.steps[k] ?? golden.step));
}

/** The class that is decided for; a single sigmoid says class 1 from 0.5 on. */
function best(row: number[]): number {
  return row.length === 1 ? Number(row[0]! >= 0.5) : row.indexOf(Math.max(...row));
}

/** The distance of the two best scores. */
function margin(row: number[]): number {
  const [first, second] = (row.length === 1 ? [row[0]!, 1 - row[0]!] : row.slice()).sort((a, b) => b - a);
  return first! - second!;
}

function sameBits(one: Values, other: Values): boolean {
  const [a, b] = [one, other].map((values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return a!.every((byte, i) => byte === b![i]);
}
