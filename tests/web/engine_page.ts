// The page that the tests of the engine drive: the engine, and the decoding of pictures by itself.
import type { Engine, Places, Site } from "../../web/src/contract";
import { decodedFile, decodedFrame } from "../../web/src/decoding/decode";
import { createEngine } from "../../web/src/engine/client";
import type { Pixels } from "../../web/src/preprocessing/pixels";
import { isProblem } from "../../web/src/problems";

let engine: Engine | null = null;

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function told({ height, width, channels, data }: Pixels) {
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return { shape: [height, width, channels], pixels: btoa(text) };
}

/** What a promise gives, or the Problem for which it was rejected. */
async function outcome<T>(promise: Promise<T>): Promise<T | { problem: unknown }> {
  try {
    return await promise;
  } catch (problem) {
    if (isProblem(problem)) return { problem };
    throw problem;
  }
}

const functions = {
  /** Open an engine for site.json, in which `changes` are made. */
  open: (changes: Partial<Site>, places: Partial<Places>) =>
    outcome(
      (async () => {
        const site = { ...((await (await fetch("site.json")).json()) as Site), ...changes };
        const heard: [number, number][] = [];
        engine?.close();
        engine = createEngine(site, { worker: "worker.js", base: "./", ...places });
        const opened = await engine.open((...bytes) => heard.push(bytes));
        return { opened, heard };
      })(),
    ),
  classify: (file: string, explain: "none" | "seen") =>
    outcome(
      engine!.classify(new Blob([bytes(file)]), explain).then((answer) => ({
        ...answer,
        scores: Array.from(answer.scores),
        heatmaps: answer.heatmaps.map((one) => ({ ...one, values: Array.from(one.values) })),
      })),
    ),
  /** Scores of a picture as a frame, and how wide it is afterwards for who gave it. */
  frame: async (file: string, kind: "ImageBitmap" | "VideoFrame") => {
    const bitmap = await createImageBitmap(new Blob([bytes(file)]));
    const frame = kind === "VideoFrame" ? new VideoFrame(bitmap, { timestamp: 0 }) : bitmap;
    const { scores } = await engine!.classify(frame, "none");
    return { scores: Array.from(scores), width: "codedWidth" in frame ? frame.codedWidth : frame.width };
  },
  replay: () => outcome(engine!.replay()),
  benchmark: (runs: number) => outcome(engine!.benchmark(runs)),
  decode: (file: string, exif: "ignore" | "apply") =>
    outcome(decodedFile(bytes(file), { exif, depth: 8 } as Site["preprocessing"]).then(told)),
  /** The pixels that a page gets where it asks for nothing special. */
  usual: async (file: string) => told(decodedFrame(await createImageBitmap(new Blob([bytes(file)])))),
};

Object.assign(window, functions, { ready: true });
