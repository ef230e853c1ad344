// The service worker: keeps the whole site on the device, so that the page works without a network.
//
// A site is kept whole or not at all: under the SHA-256 of its site.json, once every file that it names has come and has
// its own SHA-256. Only those are left out that the page says this browser does not use. The page also says when to look,
// behind its first answer, so that this delays nothing. A newer site is fetched beside the old one, of which it takes the
// files that are the same; the next load of the page shows it.
// What the server sends is passed on with the headers that let the page use threads, which plain servers do not send.

import type { Problem, Site } from "./contract";
import { check, hex } from "./files";
import { asProblem, problem } from "./problems";

declare const self: ServiceWorkerGlobalScope;

/** What the page says: keep the site now, but for some of its files; or only where an older one is kept. */
export interface Keep {
  without: string[];
  onlyNewer: boolean;
}

/** What it hears then. */
export type Kept = { kept: "now" | "already" | "newer"; bytes: number } | { kept: "no"; problem: Problem };

const OURS = `edgedense ${self.registration.scope} `; // other sites of the same server have other scopes
const PASSING = `${OURS}passing`; // what came by before the site was kept, not yet checked
const CURRENT = `${OURS}current`; // holds one entry: the name of the cache with the site
const SITE = new URL("site.json", self.registration.scope).href;
const START = new URL("index.html", self.registration.scope).href;

// For threads the page must be "cross-origin isolated": HTML standard, "cross-origin opener policy" and "embedder policy".
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

self.addEventListener("install", () => void self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isOurs = url.href.startsWith(self.registration.scope);
  if (request.method === "GET" && isOurs) event.respondWith(answer(request, event));
});

self.addEventListener("message", (event) => {
  const port = event.ports[0];
  event.waitUntil(keep(event.data as Keep).then((kept) => port?.postMessage(kept)));
});

async function answer(request: Request, event: FetchEvent): Promise<Response> {
  const key = keyOf(request);
  const name = await current();
  const found = name && (await (await caches.open(name)).match(key));
  if (found) return isolated(found);
  const response = await fetch(request);
  if (!name && response.ok && response.type === "basic" && !request.headers.has("range")) {
    const copy = response.clone();
    event.waitUntil(caches.open(PASSING).then((cache) => cache.put(key, copy)).catch(() => {})); // it broke off
  }
  return isolated(response);
}

/** The file that a request is for: the site's folder is its index.html, and what stands behind ? or # says nothing. */
function keyOf(request: Request): string {
  const url = new URL(request.url);
  const path = url.origin + url.pathname;
  return path === self.registration.scope ? START : path;
}

function isolated(response: Response): Response {
  if (response.status === 0) return response; // opaque: nothing of it may be changed
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** The name of the cache that holds the site, or null. */
async function current(): Promise<string | null> {
  const kept = await (await caches.open(CURRENT)).match(SITE);
  return kept ? kept.text() : null;
}

let keeping: Promise<Kept> | null = null;

/** Keep the site as the server has it now. */
function keep(wanted: Keep): Promise<Kept> {
  keeping ??= keepNow(wanted)
    .catch((thrown: unknown): Kept => ({ kept: "no", problem: asProblem(thrown, "room on this device for the page's files") }))
    .finally(() => (keeping = null));
  return keeping;
}

async function keepNow({ without, onlyNewer }: Keep): Promise<Kept> {
  const before = await current();
  if (before === null && onlyNewer) return { kept: "no", problem: problem("a site that is kept", "none", "") };
  const response = await fetch(SITE, { cache: "no-cache" }).catch(() => null);
  if (!response?.ok) return offline(before, without);
  const text = new Uint8Array(await response.arrayBuffer());
  const name = OURS + hex(new Uint8Array(await crypto.subtle.digest("SHA-256", text)));
  const site = JSON.parse(new TextDecoder().decode(text)) as Site;
  const files = site.files.filter(({ path }) => !without.includes(path));
  const bytes = size(files);
  const cache = await caches.open(name);
  const sources = await Promise.all([PASSING, ...(before ? [before] : [])].map((known) => caches.open(known)));
  for (const file of files) {
    const url = new URL(file.path, self.registration.scope).href;
    if (!(await cache.match(url))) await cache.put(url, await fetched(file, sources)); // else it has been checked already
  }
  await cache.put(SITE, new Response(text, { headers: { "Content-Type": "application/json" } }));
  await (await caches.open(CURRENT)).put(SITE, new Response(name)); // from here on the site is this one
  await forget([name, CURRENT]);
  return { kept: before === null ? "now" : name === before ? "already" : "newer", bytes };
}

/** A file with the right content: of those that are here, else of the server. Rejects with a Problem. */
async function fetched(file: Site["files"][number], sources: Cache[]): Promise<Response> {
  const url = new URL(file.path, self.registration.scope).href;
  for (const source of sources) {
    const known = await source.match(url);
    const content = known && new Uint8Array(await known.clone().arrayBuffer());
    if (content && (await check(file, content).then(() => true, () => false))) return plain(known, content);
  }
  const response = await fetch(url, { cache: "no-cache" });
  if (!response.ok) throw problem(`${file.path} from the server of this page`, `the answer ${response.status}`, "copy the site's folder to the server again, whole");
  const content = new Uint8Array(await response.arrayBuffer());
  await check(file, content);
  return plain(response, content);
}

/** The content under its type alone: how it was packed on its way is over. */
function plain(response: Response, content: Uint8Array<ArrayBuffer>): Response {
  const type = response.headers.get("Content-Type") ?? "application/octet-stream";
  return new Response(content, { headers: { "Content-Type": type } });
}

async function offline(before: string | null, without: string[]): Promise<Kept> {
  const kept = before && (await (await caches.open(before)).match(SITE));
  if (!kept) return { kept: "no", problem: problem("site.json from the server of this page", "no answer", "load the page again with a network") };
  const site = (await kept.json()) as Site;
  return { kept: "already", bytes: size(site.files.filter(({ path }) => !without.includes(path))) };
}

function size(files: Site["files"]): number {
  return files.reduce((sum, file) => sum + file.bytes, 0);
}

async function forget(but: string[]): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(OURS) && !but.includes(name));
  await Promise.all(old.map((name) => caches.delete(name)));
}
