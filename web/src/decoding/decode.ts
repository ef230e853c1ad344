// The content of an image file, or a frame of a camera -> pixels in RGB or grey.
import type { Preprocessing } from "../contract";
import type { Pixels } from "../preprocessing/pixels";
import { problem } from "../problems";
import { type Drawable, drawn } from "./canvas";
import { described, kindOf } from "./kinds";
import { stored, turned } from "./orientation";
import { png } from "./png";

/** An image file, decoded: a PNG by our own decoder, all else by the browser, without converting colours where that
 * lets us ask for it. Rejects with a Problem where it is no image or a damaged one. */
export async function decodedFile(bytes: Uint8Array, p: Preprocessing): Promise<Pixels> {
  const kind = kindOf(bytes);
  if (kind === null) throw problem("a picture as JPEG, PNG, WebP, GIF or BMP", described(bytes), "save it as PNG or JPEG");
  const { orientation, upright } = stored(bytes, kind);
  const picture = kind === "PNG" ? png(bytes, Number(p.depth)) : await byBrowser(upright, kind);
  return p.exif === "apply" ? turned(picture, orientation) : picture;
}

/** A frame of a camera, or another picture that the browser has decoded. It is closed. */
export function decodedFrame(frame: Drawable): Pixels {
  try {
    return drawn(frame);
  } finally {
    frame.close();
  }
}

async function byBrowser(bytes: Uint8Array, kind: string): Promise<Pixels> {
  let bitmap: ImageBitmap;
  try {
    const file = new Blob([bytes as BlobPart], { type: `image/${kind.toLowerCase()}` });
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw problem(`a whole ${kind}`, `damaged data (${why})`, "save the picture again");
  }
  return decodedFrame(bitmap);
}
