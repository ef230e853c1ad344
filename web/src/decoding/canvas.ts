// What a browser has decoded, a picture or a frame of a camera -> its pixels, by way of a canvas.
import { blank, type Pixels } from "../preprocessing/pixels";
import { problem } from "../problems";

const AT_ONCE = 1 << 20; // pixels: iOS gives an empty canvas from 16,777,216 on, and says nothing

export type Drawable = ImageBitmap | VideoFrame;

/** The pixels of something opaque, in RGB; a Problem where a pixel is transparent, because a canvas keeps no colour of
 * it. */
export function drawn(source: Drawable): Pixels {
  const isFrame = "displayWidth" in source;
  const width = isFrame ? source.displayWidth : source.width;
  const height = isFrame ? source.displayHeight : source.height;
  const rows = Math.max(1, Math.min(height, Math.floor(AT_ONCE / width)));
  const context = canvas(width, rows);
  const made = blank(height, width, 3);
  for (let top = 0, to = 0; top < height; top += rows) {
    context.clearRect(0, 0, width, rows);
    context.drawImage(source, 0, -top);
    const { data } = context.getImageData(0, 0, width, Math.min(rows, height - top));
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] !== 255)
        throw problem("a picture without transparency, or a PNG", "a transparent one of another kind", "save it as PNG or JPEG");
      made.data[to++] = data[i]!;
      made.data[to++] = data[i + 1]!;
      made.data[to++] = data[i + 2]!;
    }
  }
  return made;
}

/** A Problem where the browser changes what is read from a canvas, as some do so that nobody is recognized by it. */
export function requireTrueCanvas(): void {
  const [side, context] = [16, canvas(16, 16)];
  const given = context.createImageData(side, side);
  given.data.forEach((_, i) => (given.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256));
  context.putImageData(given, 0, 0);
  const found = context.getImageData(0, 0, side, side).data;
  if (found.some((value, i) => value !== given.data[i]))
    throw problem(
      "a browser that gives this page the pixels of pictures as they are",
      "one that changes them, so that nobody is recognized by them",
      "allow this page to use canvas data in the browser's protection against fingerprinting, or take another browser",
    );
}

function canvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const found =
    typeof OffscreenCanvas === "undefined"
      ? null
      : new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!found) throw problem("a browser with OffscreenCanvas", "one without", "update the browser: Safari has it from 16.4 on");
  found.imageSmoothingEnabled = false;
  return found;
}
