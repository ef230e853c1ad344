// What Node runs for the tests of functions: the name of one as argument, JSON on standard input -> JSON on standard
// output. A Problem that stops it is its answer.
import { readFileSync } from "node:fs";
import { valuesOf } from "../../web/src/arrays";
import type { Golden, Heatmaps, Preprocessing, Rule, StoredArray } from "../../web/src/contract";
import { stored, turned } from "../../web/src/decoding/orientation";
import { png } from "../../web/src/decoding/png";
import { kindOf } from "../../web/src/decoding/kinds";
import { gradcam } from "../../web/src/heatmap";
import { colour } from "../../web/src/page/colours";
import { described } from "../../web/src/page/decision";
import { decide } from "../../web/src/prediction";
import { window } from "../../web/src/preprocessing/fitting";
import type { Pixels } from "../../web/src/preprocessing/pixels";
import { prepare } from "../../web/src/preprocessing/prepare";
import { isProblem } from "../../web/src/problems";
import { replayed } from "../../web/src/replay";

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(base64, "base64"));
}

function base64(values: Uint8Array | Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}

function told(picture: Pixels) {
  return { shape: [picture.height, picture.width, picture.channels], pixels: base64(picture.data) };
}

interface Picture {
  shape: [height: number, width: number, channels: 1 | 3];
  pixels: string;
}

function picture({ shape, pixels }: Picture): Pixels {
  return { height: shape[0], width: shape[1], channels: shape[2], data: bytes(pixels) };
}

const functions = {
  prepare: (cases: { picture: Picture; preprocessing: Preprocessing }[]) =>
    cases.map((one) => ({
      ...told(prepare(picture(one.picture), one.preprocessing)),
      window: window([one.picture.shape[0], one.picture.shape[1]], one.preprocessing),
    })),
  png: (cases: { file: string; depth: number }[]) => cases.map((one) => attempt(() => told(png(bytes(one.file), one.depth)))),
  orientation: (cases: { file: string; picture: Picture }[]) =>
    cases.map((one) => {
      const file = bytes(one.file);
      const { orientation, upright } = stored(file, kindOf(file)!);
      return { orientation, upright: base64(upright), ...told(turned(picture(one.picture), orientation)) };
    }),
  decide: (cases: { scores: number[]; rule: Rule; top: number }[]) =>
    cases.map(({ scores, rule, top }) => decide(Float32Array.from(scores), rule, top)),
  described: (cases: { scores: number[]; rule: Rule; top: number }[]) =>
    cases.map(({ scores, rule, top }) => described(Float32Array.from(scores), rule, top)),
  colour: (heats: number[]) => heats.map(colour),
  gradcam: (cases: { heatmaps: Heatmaps; features: StoredArray; label: number }[]) =>
    cases.map(({ heatmaps, features, label }) =>
      Array.from(gradcam(heatmaps, valuesOf(features.data, "float32") as Float32Array, label)),
    ),
  replay: (cases: { golden: Golden; here: string[] }[]) =>
    cases.map(({ golden, here }) => replayed(golden, here.map((row) => valuesOf(row, golden.dtype)))),
};

function attempt<T>(made: () => T): T | { problem: unknown } {
  try {
    return made();
  } catch (problem) {
    if (isProblem(problem)) return { problem };
    throw problem;
  }
}

const name = process.argv[2] as keyof typeof functions;
console.log(JSON.stringify(functions[name](JSON.parse(readFileSync(0, "utf8")))));
