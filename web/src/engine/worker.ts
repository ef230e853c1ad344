// The worker: one call after the other, so that a picture waits for the one before it. The golden samples take a while:
// a picture that comes meanwhile is classified between two of them.
import type { Site, Places } from "../contract";
import { asProblem, problem } from "../problems";
import { Machine } from "./machine";
import type { Call, Result, Said } from "./messages";

type Numbered = Call & { number: number };

let machine: Machine | null = null;
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<Numbered>) => {
  last = last.then(() => {
    const answered = answer(data);
    return data.kind === "replay" ? undefined : answered;
  });
};

async function answer(call: Numbered): Promise<void> {
  const { number } = call;
  try {
    say({ number, result: await done(call) });
  } catch (error) {
    say({ number, problem: asProblem(error, "an engine that classifies pictures") });
  }
}

async function done(call: Numbered): Promise<Result> {
  if (call.kind === "open") return opened(call.number, call.site, call.places);
  if (!machine) throw problem("an engine that is open", "one that is not", "reload the page");
  if (call.kind === "classify") return machine.classify(call.picture, call.explain);
  return call.kind === "replay" ? machine.replay() : machine.benchmark(call.runs);
}

async function opened(number: number, site: Site, places: Places): Promise<Result> {
  machine = await Machine.open(site, places, (loaded, total) => say({ number, loaded, total }));
  return machine.opened;
}

function say(said: Said): void {
  self.postMessage(said);
}
