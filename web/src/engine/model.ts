// A model that the runtime has loaded: pixels in, raw outputs out.
import { type CompiledModel, type LiteRt, Tensor } from "@litertjs/core";
import { real, type Values } from "../arrays";
import type { Opened, Site } from "../contract";
import type { Pixels } from "../preprocessing/pixels";
import { problem } from "../problems";

const ANOTHER = "make the site again with edgedense web, from the file that edgedense convert wrote";

export interface Outputs {
  raw: Values; // [outputs], as they come
  features: Values | null; // the last feature map [height, width, channels], where there are heatmaps
}

export class Model {
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly site: Site,
    private readonly compiled: CompiledModel,
  ) {}

  /** Rejects with a Problem where the runtime cannot read the model, or it has other inputs and outputs than the site
   * says. */
  static async of(
    runtime: LiteRt,
    content: Uint8Array,
    site: Site,
    accelerator: Opened["accelerator"],
    threads: number,
  ): Promise<Model> {
    let compiled: CompiledModel;
    try {
      compiled = await runtime.loadAndCompile(content, {
        accelerator,
        cpuOptions: { numThreads: threads },
        gpuOptions: { precision: "fp32" },
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw problem("a model that LiteRT can run in a browser", `${site.model.path}: ${why}`, ANOTHER);
    }
    checked(compiled, site);
    return new Model(site, compiled);
  }

  /** Whether all of it runs on the graphics processor. */
  get isAccelerated(): boolean {
    return this.compiled.isFullyAccelerated;
  }

  /** Pixels -> what the model gives. The runtime computes one picture at a time, in the order in which they came. */
  run(pixels: Pixels): Promise<Outputs> {
    const done = this.#last.then(() => this.#run(pixels));
    this.#last = done.catch(() => {});
    return done;
  }

  async #run(pixels: Pixels): Promise<Outputs> {
    const { data, height, width, channels } = pixels;
    const input = new Tensor(data, [1, height, width, channels]);
    const outputs = await this.compiled.run(input);
    try {
      const { output, heatmaps } = this.site;
      const raw = (await outputs[output.index]!.data()) as Values;
      const features = heatmaps ? ((await outputs[heatmaps.output.index]!.data()) as Values) : null;
      return { raw, features };
    } finally {
      input.delete();
      for (const output of outputs) output.delete();
    }
  }

  /** One score for each label: of one sigmoid that tells two classes apart there are two. */
  scores({ raw }: Outputs): Float32Array {
    const found = real(raw, this.site.output);
    const isPair = found.length === 1 && this.site.rule.labels.length === 2;
    return isPair ? Float32Array.of(1 - found[0]!, found[0]!) : found;
  }

  close(): void {
    this.compiled.delete();
  }
}

function checked(compiled: CompiledModel, site: Site): void {
  const { input, output, heatmaps, rule } = site;
  const described = (kind: string, shape: ArrayLike<number>) => `${kind} [${Array.from(shape).join(", ")}]`;
  const expected = [
    described("uint8", [1, input.height, input.width, input.channels]),
    ...(heatmaps ? [described(heatmaps.output.dtype, [1, heatmaps.height, heatmaps.width, heatmaps.channels])] : []),
  ];
  const [taken, given] = [compiled.getInputDetails(), compiled.getOutputDetails()];
  const map = heatmaps && given[heatmaps.output.index];
  const found = [taken[0], ...(map ? [map] : [])].map((one) => (one ? described(one.dtype, one.shape) : "nothing"));
  if (found.join() !== expected.join()) throw problem(`a model of ${expected.join(" and ")}`, found.join(" and "), ANOTHER);
  const scores = given[output.index];
  const count = scores?.shape[scores.shape.length - 1];
  const isPair = count === 1 && rule.labels.length === 2;
  if (scores?.dtype !== output.dtype || (count !== rule.labels.length && !isPair))
    throw problem(
      `an output ${described(output.dtype, [1, rule.labels.length])}, one for each label`,
      scores ? described(scores.dtype, scores.shape) : "none",
      ANOTHER,
    );
}
