// Builds the page that `edgedense web` puts into a site: node build.mjs [FOLDER], by default edgedense/website/page/.
// The same sources give the same bytes: git holds the page, so that who makes a site needs no Node.

import * as esbuild from "esbuild";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "../edgedense/website/page"));

// What the browser loads, and what each is made of. The page's own files that need no building lie in static/.
const scripts = { app: "src/app.ts", worker: "src/engine/worker.ts", sw: "src/sw.ts" };

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
cpSync(join(here, "static"), out, { recursive: true });
const built = await esbuild.build({
  absWorkingDir: here,
  entryPoints: scripts,
  outdir: out,
  bundle: true,
  format: "iife", // a worker that is no module loads the runtime by importScripts, as LiteRT does
  target: ["es2022"],
  charset: "utf8",
  minify: true,
  legalComments: "none", // they stand in licenses.txt
  metafile: true,
  logLevel: "warning",
});
writeFileSync(join(out, "licenses.txt"), licenses(built.metafile));

/** Whose code is in the scripts, and under which licence, with the text of each licence; the Apache License is ours too. */
function licenses(metafile) {
  const names = Object.values(metafile.outputs)
    .flatMap((output) => Object.keys(output.inputs))
    .map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
    .filter((name) => name !== undefined);
  const lines = [];
  const texts = [readFileSync(join(here, "../LICENSE"), "utf8")];
  for (const name of [...new Set(names)].sort()) {
    const folder = join(here, "node_modules", name);
    const found = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    lines.push(`${name} ${found.version}: ${found.license}`);
    if (found.license !== "Apache-2.0") {
      const text = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
      if (found.license !== "MIT" || text === undefined) {
        throw new Error(`${name} is under ${found.license}: see whether a page may hold it, and how that must be said`);
      }
      texts.push(`${name}\n\n${readFileSync(join(folder, text), "utf8")}`);
    }
  }
  return ["This page is part of edgedense: Apache-2.0", ...lines, "", ...texts].join("\n");
}
