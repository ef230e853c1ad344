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
export async function builds(site: Site): Promise<Build[]> {
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
  if (found.length === 0)
    throw problem(
      `the runtime of this site for a browser ${relaxed ? "with" : "without"} relaxed SIMD`,
      "none among its files",
      "make the site again with edgedense web",
    );
  return found;
}

function build(site: Site, name: string, threads: number): Build | null {
  const [script, program] = [".js", ".wasm"].map((end) => site.files.find((file) => file.path.endsWith(name + end)));
  return script && program ? { script, program, threads } : null;
}

/** Hears how many more bytes have come. */
export type More = (bytes: number) => void;

/** A file of the site, from where the page says that it is. */
export async function loaded(file: SiteFile, places: Places, more: More): Promise<Uint8Array<ArrayBuffer>> {
  let before = 0;
  const source = places.carried?.[file.path] ?? new URL(file.path, places.base).href;
  return readFrom(source, file, (now) => {
    more(now - before);
    before = now;
  });
}

/** Load a build and start it. Its files are the ones that site.json names, or a Problem says so. */
export async function started(build: Build, places: Places, more: More): Promise<LiteRt> {
  const script = await loaded(build.script, places, more);
  const program = await loaded(build.program, places, more);
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  // What the runtime's script looks for: its program, and itself where it starts further threads with it.
  Object.assign(globalThis, { Module: { wasmBinary: program, mainScriptUrlOrBlob: url } });
  return loadLiteRt(`${url}#.js`); // by the end of an address it tells a script from a folder
}
