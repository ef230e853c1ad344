// What the browser must be able to do.

import type { Problem } from "../contract";
import { problem } from "../problems";

// A WebAssembly module with one function, which gives a constant of 128 bits: valid only where there is SIMD.
const SIMD = new Uint8Array([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // "\0asm", version 1
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b], // types: () -> v128
  ...[0x03, 0x02, 0x01, 0x00], // functions: one, of that type
  ...[0x0a, 0x16, 0x01, 0x14, 0x00, 0xfd, 0x0c, ...new Array<number>(16).fill(0), 0x0b], // code: v128.const 0
]);

/** What this browser lacks for running a model, or null. */
export function lacking(): Problem | null {
  const update = "update the browser: Chrome and Edge can from version 91 on, Firefox from 89, Safari from 16.4";
  if (typeof WebAssembly === "undefined") {
    return problem("a browser with WebAssembly, which runs the model", "a browser without it, or with it switched off", update);
  }
  if (!WebAssembly.validate(SIMD)) {
    return problem("a browser whose WebAssembly has SIMD, which makes the model fast enough", "WebAssembly without SIMD", update);
  }
  return null;
}
