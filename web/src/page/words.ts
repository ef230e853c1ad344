// What the page says about figures.

import type { Benchmark, Opened, Replay } from "../contract";
import type { Kept } from "../sw";

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

export function computedBy({ accelerator, threads }: Opened): string {
  if (accelerator === "webgpu") return "the graphics processor (WebGPU)";
  return threads === 1 ? "the processor, 1 thread" : `the processor, ${threads} threads`;
}

export function replayed(replay: Replay): string {
  return replay.passed ? `✓ ${replay.sentence}` : `✗ ${replay.sentence}`;
}

export function benchmarked({ runs, median, slowest }: Benchmark, opened: Opened): string {
  return `${milliseconds(median)} for one inference in the median of ${runs}, ${milliseconds(slowest)} for the slowest, by ${computedBy(opened)}.`;
}

export function kept(result: Kept | null, isSecure: boolean): string {
  if (result === null) {
    return isSecure
      ? "The browser keeps no files of this page, as in a private window or with a certificate that it does not know. The page needs its server each time."
      : "This page came without HTTPS, so that the browser keeps no files and gives no camera.";
  }
  if (result.kept === "no") {
    const { expected, found, hint } = result.problem;
    return `The page is not kept for use without a network. Expected: ${expected}. Found: ${found}. What to try: ${hint}.`;
  }
  if (result.kept === "newer") return "A newer version of this page is ready.";
  return `Kept on this device (${megabytes(result.bytes)}): the page opens without a network too.`;
}
