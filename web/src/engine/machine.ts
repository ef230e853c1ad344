// The engine itself, in its worker: opened once, then asked.
import type { LiteRt } from "@litertjs/core";
import type { Answer, Benchmark, Heatmap, Opened, Places, Replay, Site } from "../contract";
import { decodedFile, decodedFrame } from "../decoding/decode";
import { requireTrueCanvas } from "../decoding/canvas";
import { heatmaps } from "../heatmap";
import { window } from "../preprocessing/fitting";
import type { Pixels } from "../preprocessing/pixels";
import { prepare } from "../preprocessing/prepare";
import { probes, replayed } from "../replay";
import { problem } from "../problems";
import type { Picture } from "./messages";
import { Model } from "./model";
import { accelerated, duration, hasGraphics, WORTH_TRYING } from "./acceleration";
import { type Build, builds, loaded, started } from "./runtime";

export class Machine {
  private constructor(
    private readonly site: Site,
    private readonly places: Places,
    private readonly model: Model,
    readonly opened: Opened,
  ) {}

  static async open(site: Site, places: Places, progress: (loaded: number, total: number) => void): Promise<Machine> {
    requireTrueCanvas();
    const found = await builds(site);
    const size = ({ script, program }: Build) => site.model.bytes + script.bytes + program.bytes;
    const content = await loaded(site.model, places, (bytes) => progress(bytes, size(found[0])));
    const heard = (one: Build, bytes: number) => progress(site.model.bytes + bytes, size(one));
    const { build, runtime } = await started(found, places, heard);
    const model = await Model.of(runtime, content, site, "wasm", build.threads);
    const faster = await inFavour(runtime, content, site, places, model);
    const accelerator = faster ? "webgpu" : "wasm";
    const files = [build.script.path, build.program.path];
    return new Machine(site, places, faster ?? model, { threads: build.threads, accelerator, runtime: files });
  }

  async classify(picture: Picture, explain: "none" | "seen"): Promise<Answer> {
    const { preprocessing } = this.site;
    const begun = performance.now();
    const pixels =
      picture instanceof Blob
        ? await decodedFile(new Uint8Array(await picture.arrayBuffer()), preprocessing)
        : decodedFrame(picture);
    const input = prepare(pixels, preprocessing);
    const prepared = performance.now();
    const outputs = await this.model.run(input);
    const running = performance.now() - prepared;
    const scores = this.model.scores(outputs);
    const part = window([pixels.height, pixels.width], preprocessing);
    const maps: Heatmap[] = explain === "seen" && outputs.features ? heatmaps(this.site, outputs.features, scores, part) : [];
    return { scores, preparing: prepared - begun, running, heatmaps: maps };
  }

  async replay(): Promise<Replay> {
    const { golden } = this.site;
    if (!golden)
      throw problem("golden samples in the model's file", "none", "convert the model again with a newer edgedense");
    const inputs = probes(await loaded(golden.inputs, this.places, () => {}), this.site);
    const outputs = [];
    for (const input of inputs) {
      outputs.push((await this.model.run(input)).raw);
      await new Promise((resolve) => setTimeout(resolve)); // the worker hears what the page has asked meanwhile
    }
    return replayed(golden, outputs);
  }

  /** Milliseconds of one inference, without preparing a picture. The pixels do not matter to how long it takes. */
  async benchmark(runs: number): Promise<Benchmark> {
    const { height, width, channels } = this.site.input;
    const data = Uint8Array.from({ length: height * width * channels }, (_, i) => (i * 73) % 256);
    const input: Pixels = { height, width, channels, data };
    await this.model.run(input); // the first one takes longer
    const times = [];
    for (let i = 0; i < runs; i++) {
      const begun = performance.now();
      await this.model.run(input);
      times.push(performance.now() - begun);
    }
    times.sort((a, b) => a - b);
    const middle = (times[Math.floor((runs - 1) / 2)]! + times[Math.floor(runs / 2)]!) / 2;
    return { runs, median: middle, slowest: times[runs - 1]!, threads: this.opened.threads };
  }
}

/** The model on the graphics processor, where that is proved to be as good and is faster; the one before is closed
 * then. */
async function inFavour(
  runtime: LiteRt,
  content: Uint8Array,
  site: Site,
  places: Places,
  model: Model,
): Promise<Model | null> {
  const { golden } = site;
  if (!golden || !(await hasGraphics())) return null;
  const inputs = probes(await loaded(golden.inputs, places, () => {}), site);
  const usual = await duration(model, inputs[0]!);
  if (usual < WORTH_TRYING) return null;
  const found = await accelerated(runtime, content, site, golden, inputs, usual);
  if (found) model.close();
  return found;
}
