// Where a file of the site comes from: the server, or the page itself, which then is a single file without a server.
//
// In a single file each file of the site is an element of the page, with its path as id:
// <script type="application/octet-stream+base64" id="model.tflite" data-packed="gzip">…</script>, and site.json is one of
// them. That and scripts are not packed: they are small, and are wanted at once.

import { sha256 } from "@noble/hashes/sha2.js";
import type { Problem, Site, SiteFile } from "./contract";
import { problem } from "./problems";

/** Hears how many bytes of a file have come, and how many it has. */
export type Progress = (loaded: number, total: number) => void;
type Bytes = Uint8Array<ArrayBuffer>;

const SITE = "site.json";
const EMBEDDED = "application/octet-stream+base64";
const PACKED = "application/gzip"; // the type of a Blob

/** Whether this page carries the site's files, so that it needs no server. Not for a worker, which has no page. */
export function isSingleFile(): boolean {
  return element(SITE) !== null;
}

/** site.json. Rejects with a Problem. */
export async function readSite(): Promise<Site> {
  const text = new TextDecoder().decode(embedded(SITE) ?? (await download(SITE, null)));
  let site: unknown;
  try {
    site = JSON.parse(text);
  } catch {
    throw problem("site.json, which says what the page shows", "text that is no JSON", MAKE_AGAIN);
  }
  if (typeof site !== "object" || site === null || !("model" in site) || !("files" in site)) {
    throw problem("site.json, which says what the page shows", "JSON without a model", MAKE_AGAIN);
  }
  return site as Site;
}

/** The content of a file of the site: whole, and the one that site.json names. `source` is its address, or what the page
 * carries of it. Rejects with a Problem. */
export async function readFrom(source: string | Blob, file: SiteFile, progress: Progress = () => {}): Promise<Bytes> {
  const isHere = typeof source !== "string";
  const content = isHere ? await unpacked(source) : await download(source, file, progress);
  await check(file, content);
  progress(file.bytes, file.bytes);
  return content;
}

/** What the page carries of a file, for its worker, which has no page and may not read the page's addresses. */
export function carried(path: string): Blob | null {
  const content = embedded(path);
  const type = path.endsWith(".js") ? "text/javascript" : "application/octet-stream";
  return content && new Blob([content], { type: element(path)?.dataset.packed === "gzip" ? PACKED : type });
}

async function unpacked(blob: Blob): Promise<Bytes> {
  const stream = blob.stream();
  const whole = blob.type === PACKED ? stream.pipeThrough(new DecompressionStream("gzip")) : stream;
  return new Uint8Array(await new Response(whole).arrayBuffer());
}

/** An address from which this page may load a script of the site: that of the server, or, in a single file, one that the
 * browser makes for the bytes. */
export function address(path: string): string {
  const script = carried(path);
  return script ? URL.createObjectURL(script) : new URL(path, document.baseURI).href;
}

/** Rejects with a Problem unless `content` has the file's length and SHA-256. Browsers compute SHA-256 themselves only in
 * pages that came by HTTPS or from this machine. */
export async function check(file: SiteFile, content: Bytes): Promise<void> {
  if (content.length !== file.bytes) throw incomplete(file.path, content.length, file.bytes);
  const isAbleTo = globalThis.crypto?.subtle !== undefined;
  const found = hex(isAbleTo ? new Uint8Array(await crypto.subtle.digest("SHA-256", content)) : sha256(content));
  if (found !== file.sha256) {
    throw problem(
      `${file.path} with the SHA-256 ${file.sha256.slice(0, 12)}…`,
      `a file with ${found.slice(0, 12)}…: another one, or a damaged one`,
      "load the page again; if it stays, the site's folder must be copied to the server again, whole",
    );
  }
}

/** The SHA-256 or other bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const MAKE_AGAIN = "make the site again with `edgedense web`, and copy all of its folder to the server";

function element(path: string): HTMLElement | null {
  const found = typeof document === "undefined" ? null : document.getElementById(path);
  return found?.getAttribute("type") === EMBEDDED ? found : null;
}

function embedded(path: string): Bytes | null {
  const text = element(path)?.textContent;
  if (text == null) return null;
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Bytes from the server, which may have packed them on their way. */
async function download(url: string, file: SiteFile | null, progress: Progress = () => {}): Promise<Bytes> {
  const path = file?.path ?? url;
  const response = await fetch(url).catch(() => {
    throw problem(`${path} from the server of this page`, "no answer", "look whether there is a network, and load the page again");
  });
  if (!response.ok) {
    throw problem(`${path} from the server of this page`, `the answer ${response.status} ${response.statusText}`.trim(), MAKE_AGAIN);
  }
  if (file === null || response.body === null) {
    return new Uint8Array(await response.arrayBuffer());
  }
  const { bytes } = file;
  const content = new Uint8Array(bytes);
  let loaded = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw incomplete(path, loaded, bytes);
    });
    if (done) break;
    if (loaded + value.length > bytes) {
      void reader.cancel();
      throw problem(`${path} of ${bytes} bytes`, "a longer file", MAKE_AGAIN);
    }
    content.set(value, loaded);
    loaded += value.length;
    progress(loaded, bytes);
  }
  return content.subarray(0, loaded);
}

function incomplete(path: string, found: number, expected: number): Problem {
  return problem(
    `${path} of ${expected} bytes`,
    `${found} bytes: the download broke off, or the file on the server is another one`,
    "load the page again; if it stays, the site's folder must be copied to the server again, whole",
  );
}
