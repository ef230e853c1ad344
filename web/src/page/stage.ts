// The picture that was classified: the part that the model does not see is darkened, and a heatmap lies over it.

import type { Heatmap, Preprocessing } from "../contract";
import { type Window, window as seenWindow } from "../preprocessing/fitting";
import { coloured } from "./colours";

const LARGEST = 1600; // pixels of the longer side of a picture that is shown

/** A picture that belongs to an answer, or will. */
export type Held = HTMLCanvasElement;

export class Stage {
  /** Whether there is a part of the shown picture that the model does not see. */
  cuts = false;
  // Two are kept for the camera, and used again and again: telephones have little room for canvases.
  #shown: Held = document.createElement("canvas");
  #spare: Held = document.createElement("canvas");

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly preprocessing: Preprocessing,
  ) {}

  /** A copy of a frame of the camera, until the next copy is made. The frame may be given away afterwards. */
  hold(frame: ImageBitmap): Held {
    return copied(frame, this.#spare, frame.width, frame.height);
  }

  /** A picture file as the model sees it: turned as its EXIF entry says, or not. Rejects where the browser cannot. */
  async decode(file: Blob): Promise<Held> {
    const imageOrientation = this.preprocessing.exif === "apply" ? "from-image" : "none";
    const bitmap = await createImageBitmap(file, { imageOrientation });
    try {
      const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
      const [width, height] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.round(size * scale)));
      return copied(bitmap, document.createElement("canvas"), width!, height!);
    } finally {
      bitmap.close();
    }
  }

  /** Show a picture that was copied here. */
  show(picture: Held, heatmap: Heatmap | null): void {
    if (picture === this.#spare) [this.#shown, this.#spare] = [this.#spare, this.#shown];
    const { width, height } = picture;
    resize(this.canvas, width, height);
    const at = context(this.canvas);
    at.drawImage(picture, 0, 0);
    if (heatmap) {
      const { top, left, bottom, right } = heatmap.window;
      at.drawImage(coloured(heatmap), left * width, top * height, (right - left) * width, (bottom - top) * height);
    }
    const seen = seenWindow([height, width], this.preprocessing);
    this.cuts = isCut(seen);
    if (this.cuts) frame(at, seen, width, height);
  }
}

function copied(bitmap: ImageBitmap, into: Held, width: number, height: number): Held {
  resize(into, width, height);
  const at = context(into);
  at.clearRect(0, 0, width, height); // what shows through a picture is black, not the one before
  at.drawImage(bitmap, 0, 0, width, height);
  return into;
}

function isCut(seen: Window): boolean {
  const most = 1e-6; // of rounding
  return seen.top > most || seen.left > most || seen.bottom < 1 - most || seen.right < 1 - most;
}

function frame(at: CanvasRenderingContext2D, seen: Window, width: number, height: number): void {
  const [left, top] = [Math.max(0, seen.left) * width, Math.max(0, seen.top) * height];
  const [right, bottom] = [Math.min(1, seen.right) * width, Math.min(1, seen.bottom) * height];
  const line = Math.max(1, Math.round(Math.max(width, height) / 300));
  const whole = new Path2D();
  whole.rect(0, 0, width, height);
  whole.rect(left, top, right - left, bottom - top);
  at.fillStyle = "rgb(0 0 0 / 60%)";
  at.fill(whole, "evenodd");
  at.strokeStyle = "#fff";
  at.lineWidth = line;
  at.strokeRect(left + line / 2, top + line / 2, right - left - line, bottom - top - line);
}

function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const found = canvas.getContext("2d");
  if (!found) throw new Error("this browser draws no pictures");
  return found;
}
