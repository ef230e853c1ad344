// What the page and the worker say to each other: a call with a number, its answer with the same number.
import type { Answer, Benchmark, Opened, Places, Problem, Replay, Site } from "../contract";

export type Picture = ImageBitmap | VideoFrame | Blob;

export type Call =
  | { kind: "open"; site: Site; places: Places }
  | { kind: "classify"; picture: Picture; explain: "none" | "seen" }
  | { kind: "replay" }
  | { kind: "benchmark"; runs: number };

export type Result = Opened | Answer | Replay | Benchmark;

export type Said =
  | { number: number; loaded: number; total: number }
  | { number: number; result: Result }
  | { number: number; problem: Problem };
