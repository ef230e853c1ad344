// The page without a network: its service worker, and the threads that only a page under one has on a plain server.

import { asProblem } from "../problems";
import type { Keep, Kept } from "../sw";

const TRIED = "edgedense: loaded again for threads";
const PATIENCE = 3000; // milliseconds for a service worker to start: without one the page goes on, with one thread

/** Start the service worker. True where the page loads itself again now, once: its first load came past that worker, and
 * may not use threads. */
export async function start(): Promise<boolean> {
  if (!("serviceWorker" in navigator)) return false; // not by HTTPS, or switched off
  try {
    await navigator.serviceWorker.register("sw.js");
    if (crossOriginIsolated || sessionStorage.getItem(TRIED)) return false;
    if (!(await controlled())) return false;
    sessionStorage.setItem(TRIED, "yes");
  } catch {
    return false; // a private window, or one that keeps nothing at all: all else works
  }
  location.reload();
  return true;
}

/** Have the site kept on this device, as `wanted` says. Null where there is no service worker. */
export async function keep(wanted: Keep): Promise<Kept | null> {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return null;
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = (event: MessageEvent<Kept>) => resolve(event.data);
    try {
      worker.postMessage(wanted, [port2]);
    } catch (thrown) {
      resolve({ kept: "no", problem: asProblem(thrown, "a service worker that answers") });
    }
  });
}

function controlled(): Promise<boolean> {
  const container = navigator.serviceWorker;
  if (container.controller) return Promise.resolve(true);
  return new Promise((resolve) => {
    container.addEventListener("controllerchange", () => resolve(true), { once: true });
    setTimeout(() => resolve(container.controller !== null), PATIENCE);
  });
}
