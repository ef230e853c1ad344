// What happens from the moment that somebody opens the page.

import type { Engine, Opened, Places, Problem, Site } from "../contract";
import { address, carried, isSingleFile, readSite } from "../files";
import { asProblem } from "../problems";
import { button, element, showProblem } from "./elements";
import * as flight from "./flight";
import type { Kept } from "../sw";
import { Viewer } from "./viewer";
import * as words from "./words";

const RUNS = 30; // of the benchmark

/** Show the site, whose model runs in what `create` makes. */
export async function start(create: (site: Site, places: Places) => Engine): Promise<void> {
  if (!isSingleFile() && (await flight.start())) return;
  let site: Site;
  try {
    site = await readSite();
  } catch (thrown) {
    return stopped("The page cannot be loaded", asProblem(thrown, "site.json, which says what the page shows"));
  }
  introduce(site);
  const viewer = new Viewer(site);
  const engine = create(site, places(site));
  let opened: Opened;
  try {
    opened = await engine.open(progress);
  } catch (thrown) {
    viewer.end();
    stopped("The model cannot be loaded", asProblem(thrown, "a model that runs in this browser"));
    return mend();
  }
  element("loading").hidden = true;
  element("opened").textContent = words.computedBy(opened);
  await viewer.use(engine);
  await prove(site, engine);
  offerBenchmark(engine, opened);
  await keep(unused(site, opened));
}

/** Nothing can be classified: what is left is what is wrong, and what the model is. */
function stopped(title: string, why: Problem): void {
  for (const part of ["viewer", "answer", "proof"]) element(part).hidden = true;
  showProblem(title, why);
}

/** What is known of the model before it runs. */
function introduce(site: Site): void {
  document.title = site.title;
  element("title").textContent = site.title;
  element("made").textContent = `Made by edgedense ${site.version}.`;
  for (const { name, value } of site.card) {
    const [entry, term, said] = [document.createElement("div"), document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    said.textContent = value;
    entry.append(term, said);
    element("card").append(entry);
  }
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    button("install").hidden = false;
    button("install").onclick = () => {
      button("install").hidden = true;
      void (event as Event & { prompt(): Promise<unknown> }).prompt();
    };
  });
}

/** Where the engine finds its worker and the site's files. */
function places(site: Site): Places {
  const base = new URL("./", document.baseURI).href;
  const files = site.files.map(({ path }) => [path, carried(path)] as const);
  const here = files.filter((entry): entry is [string, Blob] => entry[1] !== null);
  return { worker: address("worker.js"), base, carried: Object.fromEntries(here) };
}

function progress(loaded: number, total: number): void {
  const bar = element<HTMLProgressElement>("progress");
  [bar.max, bar.value] = [total, loaded];
  element("loading-text").textContent =
    loaded < total ? `The model is loading: ${words.megabytes(loaded)} of ${words.megabytes(total)}.` : "The model is starting.";
}

/** Compute the golden samples, and say whether they come out as they did where the file was made. */
async function prove(site: Site, engine: Engine): Promise<void> {
  const said = element("golden");
  if (!site.golden) {
    said.textContent = "This file carries no golden samples, so that nobody knows.";
    return;
  }
  said.textContent = `Computing ${site.golden.count} golden samples.`;
  try {
    const replay = await engine.replay();
    said.textContent = words.replayed(replay);
    said.className = replay.passed ? "good" : "bad";
  } catch (thrown) {
    const { expected, found, hint } = asProblem(thrown, "golden samples that can be computed");
    said.textContent = `Not computed. Expected: ${expected}. Found: ${found}. What to try: ${hint}.`;
    said.className = "bad";
  }
}

function offerBenchmark(engine: Engine, opened: Opened): void {
  const [measure, result] = [button("benchmark"), element("benchmark-result")];
  measure.disabled = false;
  measure.addEventListener("click", async () => {
    measure.disabled = true;
    result.textContent = `Measuring ${RUNS} inferences. The camera waits meanwhile.`;
    try {
      result.textContent = words.benchmarked(await engine.benchmark(RUNS), opened);
    } catch (thrown) {
      result.textContent = `Not measured: ${asProblem(thrown, "").found}.`;
    }
    measure.disabled = false;
  });
}

/** The builds of the runtime that this browser does not use: half of the site's bytes. */
function unused(site: Site, { runtime }: Opened): string[] {
  const folder = (path: string) => path.slice(0, path.lastIndexOf("/") + 1);
  const folders = runtime.map(folder).filter((path) => path !== "");
  return site.files.map(({ path }) => path).filter((path) => folders.includes(folder(path)) && !runtime.includes(path));
}

/** Have the site kept on this device but for some of its files, and say so. */
async function keep(without: string[]): Promise<void> {
  if (isSingleFile()) {
    element("flight").textContent = "This file holds everything: it needs no network.";
    return;
  }
  const kept = await flight.keep({ without, onlyNewer: false });
  element("flight").textContent = words.kept(kept, isSecureContext);
  offerUpdate(kept);
}

/** What does not run may be an old site that this device keeps, and the server may have a newer one. */
async function mend(): Promise<void> {
  if (!isSingleFile()) offerUpdate(await flight.keep({ without: [], onlyNewer: true }));
}

function offerUpdate(kept: Kept | null): void {
  if (kept?.kept !== "newer") return;
  element("flight").textContent = words.kept(kept, isSecureContext);
  button("update").hidden = false;
  button("update").addEventListener("click", () => location.reload());
}
