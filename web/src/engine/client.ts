// The page's side of the engine: a worker that runs the model, so that the page stays quick.
import type { Answer, Benchmark, Engine, Opened, Places, Problem, Replay, Site } from "../contract";
import type { Call, Picture, Result, Said } from "./messages";

interface Waiting {
  resolve(result: Result): void;
  reject(problem: Problem): void;
  progress?(loaded: number, total: number): void;
}

/** An engine for a site. Nothing is loaded before `open`. */
export function createEngine(site: Site, places: Places): Engine {
  const base = new URL(places.base, location.href).href;
  const worker = new Worker(new URL(places.worker, location.href));
  const waiting = new Map<number, Waiting>();
  let count = 0;

  function end(problem: Problem): void {
    for (const one of waiting.values()) one.reject(problem);
    waiting.clear();
    worker.terminate();
  }

  worker.onmessage = ({ data }: MessageEvent<Said>) => {
    const one = waiting.get(data.number);
    if (!one) return;
    if ("loaded" in data) return one.progress?.(data.loaded, data.total);
    waiting.delete(data.number);
    if ("problem" in data) one.reject(data.problem);
    else one.resolve(data.result);
  };
  worker.onerror = (event) =>
    end({
      expected: "the part of this page that classifies",
      found: event.message || "no answer",
      hint: "reload the page; where that does not help, the tab may have too little memory",
    });

  function call<T extends Result>(message: Call, progress?: Waiting["progress"], handed: Transferable[] = []): Promise<T> {
    return new Promise((resolve, reject) => {
      waiting.set(++count, { resolve: resolve as (result: Result) => void, reject, progress });
      worker.postMessage({ ...message, number: count }, handed);
    });
  }

  return {
    open: (progress) => call<Opened>({ kind: "open", site, places: { ...places, base } }, progress),
    classify: (picture, explain) => call<Answer>({ kind: "classify", picture, explain }, undefined, transferable(picture)),
    replay: () => call<Replay>({ kind: "replay" }),
    benchmark: (runs) => call<Benchmark>({ kind: "benchmark", runs }),
    close: () => end({ expected: "an engine that is open", found: "one that was closed", hint: "reload the page" }),
  };
}

function transferable(picture: Picture): Transferable[] {
  return picture instanceof Blob ? [] : [picture];
}
