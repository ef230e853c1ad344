// The graphics processor instead of WebAssembly, where it is proved to give the same answers, sooner.
import type { LiteRt } from "@litertjs/core";
import type { Golden, Site } from "../contract";
import type { Pixels } from "../preprocessing/pixels";
import { replayed } from "../replay";
import { Model } from "./model";

/** Milliseconds of an inference from which on it is tried: making its programs takes seconds on a phone. */
export const WORTH_TRYING = 40;

/** What is asked of WebGPU here; TypeScript's own types do not have it yet. */
interface Graphics {
  gpu?: { requestAdapter(): Promise<{ info: { isFallbackAdapter: boolean } } | null> };
}

/** Whether there is a graphics processor, and not one that is only computed. */
export async function hasGraphics(): Promise<boolean> {
  const { gpu } = navigator as Graphics;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return adapter ? !adapter.info.isFallbackAdapter : false;
}

/** The model on the graphics processor, or null where the browser cannot run all of it there, where one of the golden
 * samples gets another label than it had, or where an inference takes `limit` milliseconds or more. */
export async function accelerated(
  runtime: LiteRt,
  content: Uint8Array,
  site: Site,
  golden: Golden,
  inputs: Pixels[],
  limit: number,
): Promise<Model | null> {
  let model: Model | null = null;
  try {
    model = await Model.of(runtime, content, site, "webgpu", 1);
    if (model.isAccelerated && (await duration(model, inputs[0]!)) < limit) {
      const outputs = [];
      for (const input of inputs) outputs.push((await model.run(input)).raw);
      const found = replayed(golden, outputs);
      if (found.passed && found.flipped === 0) return model;
    }
  } catch {
    // Whatever stops it there, it runs here: nobody has asked for it.
  }
  model?.close();
  return null;
}

/** Milliseconds of an inference, the faster of two behind a first one, which takes longer. */
export async function duration(model: Model, input: Pixels): Promise<number> {
  await model.run(input);
  const times = [];
  for (let i = 0; i < 2; i++) {
    const begun = performance.now();
    await model.run(input);
    times.push(performance.now() - begun);
  }
  return Math.min(...times);
}
