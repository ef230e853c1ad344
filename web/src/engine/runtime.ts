// LiteRT in WebAssembly: which of its builds this browser can run, loaded and started.
import { type LiteRt, loadLiteRt, supportsFeature } from "@litertjs/core";
import type { Places, Site, SiteFile } from "../contract";
import { readFrom } from "../files";
import { problem } from "../problems";

const MOST_THREADS = 4; // more are those of slow cores on a phone, for which the fast ones would wait

/** A module with one function of a SIMD instruction (i8x16.splat), which an engine without SIMD finds invalid. */
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
);

/** The two files of a build, and with how many threads it is run. */
export interface Build {
  script: SiteFile;
  program: SiteFile;
  threads: number;
}

/** The builds that this browser can run, the fastest first. A Problem where it can run none. */
export async function builds(site: Site): Promise<[Build, ...Build[]]> {
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(SIMD))
    throw problem(
      "a browser with WebAssembly SIMD",
      "one without",
      "update the browser: Chrome has it from 91 on, Firefox from 89 and Safari from 16.4",
    );
  const relaxed = await supportsFeature("relaxedSimd");
  const threads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  const many = relaxed && threads > 1 && (await supportsFeature("threads"));
  const found = [
    many ? build(site, "litert_wasm_threaded_internal", threads) : null,
    relaxed ? build(site, "litert_wasm_internal", 1) : null,
    build(site, "litert_wasm_compat_internal", 1),
  ].filter((one) => one !== null);
  const [first, ...others] = found;
  if (!first)
    throw problem(
      `the runtime of this site for a browser ${relaxed ? "with" : "without"} relaxed SIMD`,
      "none among its files",
      "make the site again with edgedense web",
    );
  return [first, ...others];
}

function build(site: Site, name: string, threads: number): Build | null {
  const [script, program] = [".js", ".wasm"].map((end) => site.files.find((file) => file.path.endsWith(name + end)));
  return script && program ? { script, program, threads } : null;
}

/** A file of the site, from where the page says that it is. `progress` hears how many of its bytes have come. */
export function loaded(file: SiteFile, places: Places, progress: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  return readFrom(places.carried?.[file.path] ?? new URL(file.path, places.base).href, file, progress);
}

/** The first of the builds that starts: one with threads may find too little memory for what these share. `progress`
 * hears how many bytes of a build have come. Rejects with a Problem. */
export async function started(
  found: Build[],
  places: Places,
  progress: (build: Build, bytes: number) => void,
): Promise<{ build: Build; runtime: LiteRt }> {
  let why: unknown;
  for (const build of found) {
    const script = await loaded(build.script, places, (bytes) => progress(build, bytes));
    const program = await loaded(build.program, places, (bytes) => progress(build, script.length + bytes));
    try {
      return { build, runtime: await start(script, program) };
    } catch (error) {
      why = error;
    }
  }
  throw problem(
    "a browser in which LiteRT's runtime starts",
    why instanceof Error ? why.message : String(why),
    "close other tabs and load the page again: it may be the memory; or try another browser",
  );
}

async function start(script: BlobPart, program: Uint8Array): Promise<LiteRt> {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  // What the runtime's script looks for: its program, and itself where it starts further threads with it.
  Object.assign(globalThis, { Module: { wasmBinary: program, mainScriptUrlOrBlob: url } });
  return loadLiteRt(`${url}#.js`); // by the end of an address it tells a script from a folder
}
