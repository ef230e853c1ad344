// What happens to a picture behind its first resizing: cut, put on a background, resized again. What
// edgedense/images/steps.py computes, in float32.
import type { Step } from "../contract";
import type { Pixels } from "./pixels";
import { type Floats, resample } from "./resampling";
import { levels } from "./resizing";

/** The picture behind all steps, rounded once. */
export function stepped(picture: Pixels, steps: Step[]): Pixels {
  if (steps.length === 0) return picture;
  let image: Floats = { ...picture, data: Float32Array.from(picture.data) };
  for (const step of steps) image = applied(image, step);
  const data = new Uint8Array(image.data.length);
  levels(image.data, data);
  return { height: image.height, width: image.width, channels: picture.channels, data };
}

function applied(image: Floats, step: Step): Floats {
  if (step.step === "resize") return resample(image, step.height, step.width, step.method, step.antialias);
  const { height, width } = step;
  const { channels } = image;
  const made: Floats = { height, width, channels, data: new Float32Array(height * width * channels) };
  if (step.step === "crop") {
    copy(image, step.top, step.left, made, 0, 0, height, width);
    return made;
  }
  for (let i = 0; i < made.data.length; i++) made.data[i] = step.fill[i % channels]!;
  copy(image, 0, 0, made, step.top, step.left, image.height, image.width);
  return made;
}

/** So many rows and columns of one picture, from a place on, to a place in another. */
function copy(
  from: Floats, top: number, left: number, to: Floats, down: number, across: number, height: number, width: number,
): void {
  const { channels } = from;
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * from.width + left) * channels;
    to.data.set(from.data.subarray(start, start + width * channels), ((down + y) * to.width + across) * channels);
  }
}
