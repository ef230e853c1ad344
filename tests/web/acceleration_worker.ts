// A worker that asks for the graphics processor, whatever time it takes there: what `accelerated` gives.
import type { Site } from "../../web/src/contract";
import { accelerated } from "../../web/src/engine/acceleration";
import { builds, loaded, started } from "../../web/src/engine/runtime";
import { probes, replayed } from "../../web/src/replay";

self.onmessage = async ({ data }: MessageEvent<{ site: Site; base: string; limit: number }>) => {
  const { site, base, limit } = data;
  const places = { worker: "", base };
  const read = (file: Site["model"]) => loaded(file, places, () => {});
  const [content, samples] = [await read(site.model), await read(site.golden!.inputs)];
  const { runtime } = await started((await builds(site)).slice(-1), places, () => {});
  const inputs = probes(samples, site);
  const model = await accelerated(runtime, content, site, site.golden!, inputs, limit);
  const outputs = [];
  for (const input of model ? inputs : []) outputs.push((await model!.run(input)).raw);
  self.postMessage(model ? replayed(site.golden!, outputs) : null);
};
