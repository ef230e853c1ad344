// What the parts of the page tell each other: the file site.json, which `edgedense web` writes (edgedense/website/site.py),
// and the engine, which runs the model in a worker. Types alone.

/** A file of the site, by its path below site.json. `bytes` and `sha256` are of the file as it is served, unpacked. */
export interface SiteFile {
  path: string;
  bytes: number;
  sha256: string;
}

/** One step behind the first resizing, as `to_list` of edgedense/images/steps.py writes them. */
export type Step =
  | { step: "crop"; top: number; left: number; height: number; width: number }
  | { step: "pad"; top: number; left: number; height: number; width: number; fill: [number, number, number] }
  | { step: "resize"; height: number; width: number; method: string; antialias: boolean };

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

/** An array: base64 of its little-endian values. */
export interface StoredArray {
  dtype: "float32" | "int8";
  shape: number[];
  data: string;
}

/** A layer from the last feature map to the logits, as edgedense/deployed/gradcam.py has them. */
export type HeadStep =
  | { kind: "pool"; pool: "avg" | "max" }
  | { kind: "window"; pool: "avg" | "max"; size: [number, number]; stride: [number, number] }
  | { kind: "flatten" }
  | { kind: "dense"; kernel: StoredArray; bias: StoredArray; scale: StoredArray | null }
  | { kind: "affine"; scale: StoredArray; shift: StoredArray }
  | { kind: "nonlinear"; function: string; alpha: number };

/** Of which output the heatmaps are made, by its index among the model's outputs: the last feature map
 * [1, height, width, channels]; and of which layers. */
export interface Heatmaps {
  output: { index: number; dtype: "float32" | "uint8" | "int8"; scale: number; zero_point: number };
  height: number;
  width: number;
  channels: number;
  steps: HeadStep[];
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
  // All that the service worker keeps, for flight mode. The engine finds the runtime among them by the ends of their
  // paths, which are the names in @litertjs/core: litert_wasm_internal.js and .wasm, the same with `threaded_` and
  // `compat_` before `internal`. Without the threaded pair there is one thread; one of the other two must be there.
  files: SiteFile[];
}

/** What `createEngine(site, places)` of engine/client.ts is told beside the site. The worker is the bundle of
 * engine/worker.ts, a classic script. A page without a server carries the files of site.json, by their paths; others are
 * relative to `base`. They are given as they are, since a worker of such a page may not read the page's blob: URLs. */
export interface Places {
  worker: string; // its URL, such as "worker.js"
  base: string; // the URL of the folder of site.json, or of the page
  carried?: Record<string, Blob>;
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
  runtime: string[]; // the paths of the runtime's files that this browser uses: the other builds need not be kept
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
  /** A frame of the camera, or the content of an image file. A frame is the engine's from then on, which closes it.
   * `explain`: classes whose heatmaps are wanted. Rejects with a Problem, also for a picture that it cannot read. */
  classify(picture: ImageBitmap | VideoFrame | Blob, explain: "none" | "seen"): Promise<Answer>;
  replay(): Promise<Replay>;
  benchmark(runs: number): Promise<Benchmark>;
  /** End the worker and free its memory. Whatever has not been answered then rejects with a Problem. */
  close(): void;
}
