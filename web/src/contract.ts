// What the parts of the page tell each other: the file site.json, which `edgedense web` writes (edgedense/web/site.py),
// and the engine, which runs the model in a worker. Types alone.

/** A file of the site, by its path below site.json. `bytes` and `sha256` are of the file as it is served, unpacked. */
export interface SiteFile {
  path: string;
  bytes: number;
  sha256: string;
}

/** One step behind the first resizing, as `edgedense/images/steps.py` has them. */
export type Step =
  | { kind: "crop"; top: number; left: number; height: number; width: number }
  | { kind: "pad"; top: number; left: number; height: number; width: number; fill: [number, number, number] }
  | { kind: "resize"; height: number; width: number; method: string; antialias: boolean };

/** `Preprocessing.to_dict` of edgedense/images/preprocessing.py, with every entry there. */
export interface Preprocessing {
  height: number;
  width: number;
  normalize: string;
  resize: string;
  exif: "ignore" | "apply";
  steps: Step[];
  fit: "stretch" | "crop" | "pad";
  shorter_side: number | null;
  channels: 1 | 3;
  depth: 8 | 16 | number | string;
}

/** `Rule` of device/prediction.py. A threshold is null where none is, and, with "each", where a class is never named. */
export interface Rule {
  kind: "best" | "pair" | "each" | "values";
  labels: string[];
  thresholds: (number | null)[];
  unit: string;
}

/** The golden samples. `inputs` is a file with the probes one behind the other, uint8 [count, height, width, channels];
 * `outputs` and `reference` are base64 of little-endian values [count, outputs], as in golden.json. */
export interface Golden {
  count: number;
  inputs: SiteFile;
  dtype: "float32" | "uint8" | "int8";
  outputs: string;
  reference: string;
  step: number;
  values: { steps: number[]; zero_point: number | null } | null;
  runtime: string;
  machine: string;
}

/** How a heatmap comes out of the model: which of its outputs holds it, and how (device/explain.py). */
export interface Heatmaps {
  [entry: string]: unknown;
}

/** A line of the card: what it is called, and what is said. */
export interface CardLine {
  name: string;
  value: string;
}

export interface Site {
  version: string; // of edgedense
  title: string;
  model: SiteFile;
  input: { height: number; width: number; channels: 1 | 3 };
  output: { index: number; dtype: "float32" | "uint8" | "int8"; scale: number; zero_point: number };
  activation: "softmax" | "sigmoid" | "none";
  preprocessing: Preprocessing;
  rule: Rule;
  golden: Golden | null; // null where the file carries none
  heatmaps: Heatmaps | null; // null where the file has none
  card: CardLine[]; // what the model is, its figures, its limits, its hashes: for people
  files: SiteFile[]; // all that the service worker keeps, for flight mode
}

/** What stops the page, in words for people: what was expected, what was found, what to try. */
export interface Problem {
  expected: string;
  found: string;
  hint: string;
}

export interface Opened {
  threads: number;
  accelerator: "wasm" | "webgpu";
}

export interface Heatmap {
  label: string;
  score: number;
  height: number;
  width: number;
  values: Float32Array; // 0 to 1, [height, width]
  window: { top: number; left: number; bottom: number; right: number }; // the part of the picture that it covers
}

export interface Answer {
  scores: Float32Array; // one a label
  preparing: number; // milliseconds
  running: number; // milliseconds
  heatmaps: Heatmap[];
}

/** What `edgedense validate` says of the golden samples, computed here. */
export interface Replay {
  samples: number;
  passed: boolean;
  bitEqual: boolean;
  flipped: number;
  largest: number; // the largest difference of a score
  sentence: string; // such as "12 samples equal"
}

export interface Benchmark {
  runs: number;
  median: number; // milliseconds of one inference
  slowest: number;
  threads: number;
}

export interface Engine {
  /** Load the runtime and the model. `progress` hears bytes. Rejects with a Problem. */
  open(progress: (loaded: number, total: number) => void): Promise<Opened>;
  /** A frame of the camera, or the content of an image file. `explain`: classes whose heatmaps are wanted. */
  classify(picture: ImageBitmap | VideoFrame | Blob, explain: "none" | "seen"): Promise<Answer>;
  replay(): Promise<Replay>;
  benchmark(runs: number): Promise<Benchmark>;
}
