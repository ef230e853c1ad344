// How a picture of any shape gets into an input of one shape: stretched, cut or put on black. What
// edgedense/images/fitting.py computes, with the same whole numbers.
import type { Preprocessing, Step } from "../contract";
import { rint } from "./pixels";

/** One side of a picture on its way into the input. Of its `size` pixels those from `start` to before `stop` are
 * resized to `resized` pixels, of which those from `first` to before `last` lie in the input, from `place` on, which
 * has `length` pixels. */
export interface Axis {
  size: number;
  start: number;
  stop: number;
  resized: number;
  shift: number;
  length: number;
  first: number;
  last: number;
  place: number;
}

export interface Placement {
  rows: Axis;
  columns: Axis;
}

export interface Window {
  top: number;
  left: number;
  bottom: number;
  right: number;
}

type Size = [height: number, width: number];

function axis(size: number, start: number, stop: number, resized: number, shift: number, length: number): Axis {
  const first = Math.max(0, -shift);
  const last = Math.min(resized, length - shift);
  return { size, start, stop, resized, shift, length, first, last, place: first + shift };
}

/** Whether pixels stay as they are. */
export function isKept(one: Axis): boolean {
  return one.stop - one.start === one.resized;
}

/** The picture's coordinate, in pixels, of a place among the resized pixels. */
export function position(one: Axis, place: number): number {
  return one.start + (place * (one.stop - one.start)) / one.resized;
}

/** How a picture of `size` gets into the height and width that the trained model takes. */
export function placement(size: Size, p: Preprocessing): Placement {
  const target: Size = [p.height, p.width];
  if (p.shorter_side !== null) return centred(size, target, p.shorter_side);
  if (p.fit === "crop") return cropped(size, target);
  if (p.fit === "pad") return p.resize.startsWith("pil-") ? paddedByPillow(size, target) : padded(size, target);
  return both((i) => axis(size[i], 0, size[i], target[i], 0, target[i]));
}

function both(of: (i: 0 | 1) => Axis): Placement {
  return { rows: of(0), columns: of(1) };
}

/** The largest rectangle in the middle that has the target's shape, then resized. */
function cropped(size: Size, target: Size): Placement {
  return both((i) => {
    const other = i === 0 ? 1 : 0;
    const cut = Math.max(1, Math.min(size[i], Math.floor((size[other] * target[i]) / target[other])));
    const start = Math.floor((size[i] - cut) / 2);
    return axis(size[i], start, start + cut, target[i], 0, target[i]);
  });
}

/** Resized until it fits, then black around it, in float32 as `tf.image.resize_with_pad` does. */
function padded(size: Size, target: Size): Placement {
  const ratio = Math.max(Math.fround(size[0] / target[0]), Math.fround(size[1] / target[1]));
  return both((i) => {
    const exact = Math.fround(size[i] / ratio);
    const before = Math.floor(Math.fround(Math.fround(target[i] - exact) / 2));
    return axis(size[i], 0, size[i], Math.max(1, Math.trunc(exact)), Math.max(0, before), target[i]);
  });
}

/** As `PIL.ImageOps.pad`. */
function paddedByPillow(size: Size, target: Size): Placement {
  const [height, width] = size;
  const [newHeight, newWidth] = target;
  let resized: Size = target;
  if (width / height > newWidth / newHeight) resized = [rint((height / width) * newWidth), newWidth];
  else if (width / height < newWidth / newHeight) resized = [newHeight, rint((width / height) * newHeight)];
  return both((i) => {
    const made = Math.max(1, resized[i]);
    return axis(size[i], 0, size[i], made, rint((target[i] - made) * 0.5), target[i]);
  });
}

/** As torchvision's `Resize(shorterSide)` and `CenterCrop(target)`: resized as a whole, then its middle. */
function centred(size: Size, target: Size, shorterSide: number): Placement {
  const other = Math.trunc((shorterSide * Math.max(...size)) / Math.min(...size));
  const resized: Size = size[0] <= size[1] ? [shorterSide, other] : [other, shorterSide];
  return both((i) => axis(size[i], 0, size[i], resized[i], -rint((resized[i] - target[i]) / 2), target[i]));
}

/** The part of a picture of `size` that gets into the input, in shares of its height and width; what lies outside of 0
 * to 1 is background. */
export function window(size: Size, p: Preprocessing): Window {
  const { rows, columns } = placement(size, p);
  const inner = stepsWindow([p.height, p.width], p.steps);
  const share = (one: Axis, of: number) => position(one, of * one.length - one.shift) / one.size;
  return {
    top: share(rows, inner.top),
    left: share(columns, inner.left),
    bottom: share(rows, inner.bottom),
    right: share(columns, inner.right),
  };
}

/** Which part of a picture of `size` is in the result of the steps. */
function stepsWindow(size: Size, steps: Step[]): Window {
  const sizes: Size[] = [size, ...steps.map((step): Size => [step.height, step.width])];
  const [height, width] = sizes[steps.length]!;
  let [top, left, bottom, right] = [0, 0, height, width];
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i]!;
    const [down, across] = sizes[i]!;
    if (step.step === "resize") {
      [top, bottom] = [(top * down) / step.height, (bottom * down) / step.height];
      [left, right] = [(left * across) / step.width, (right * across) / step.width];
    } else {
      const sign = step.step === "crop" ? 1 : -1;
      [top, bottom] = [top + sign * step.top, bottom + sign * step.top];
      [left, right] = [left + sign * step.left, right + sign * step.left];
    }
  }
  return { top: top / size[0], left: left / size[1], bottom: bottom / size[0], right: right / size[1] };
}
