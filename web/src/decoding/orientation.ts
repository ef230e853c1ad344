// How an image file says that its picture is stored turned: the EXIF tag Orientation, or the same in XMP where EXIF has
// none, as Pillow reads them. Browsers turn pictures on their own; here the tag is taken out of what they are given, so
// that every browser gives the pixels as they are stored.
import { has, type Kind } from "./kinds";
import { blank, type Pixels } from "../preprocessing/pixels";

const TAG = 0x0112;
// How a picture is stored (EXIF 2.3, 4.6.4): bottom up, from right to left, rows and columns exchanged.
const BOTTOM_UP = [3, 4, 6, 7];
const RIGHT_TO_LEFT = [2, 3, 7, 8];
const EXCHANGED = [5, 6, 7, 8];

export interface Stored {
  orientation: number; // 1 to 8; 1 where the file says nothing
  upright: Uint8Array; // the file, saying that the picture is stored upright
}

interface Found {
  exif: [start: number, stop: number] | null;
  xmp: [start: number, stop: number] | null;
}

export function stored(bytes: Uint8Array, kind: Kind): Stored {
  const { exif, xmp } = found(bytes, kind);
  const at = exif && place(bytes, ...exif);
  if (at) {
    const upright = bytes.slice();
    upright[at.low] = 1;
    upright[at.high] = 0;
    return { orientation: bytes[at.low]! + 256 * bytes[at.high]!, upright };
  }
  const text = xmp ? String.fromCharCode(...bytes.subarray(xmp[0], Math.min(xmp[1], xmp[0] + 65536))) : "";
  return { orientation: Number(/tiff:Orientation(?:="|>)([0-9])/.exec(text)?.[1] ?? 1), upright: bytes };
}

/** The picture as people hold it. */
export function turned(picture: Pixels, orientation: number): Pixels {
  if (orientation < 2 || orientation > 8) return picture;
  const { channels, data, height, width } = picture;
  const exchanged = EXCHANGED.includes(orientation);
  const made = exchanged ? blank(width, height, channels) : blank(height, width, channels);
  let to = 0;
  for (let y = 0; y < made.height; y++)
    for (let x = 0; x < made.width; x++) {
      const [row, column] = exchanged ? [x, y] : [y, x];
      const down = BOTTOM_UP.includes(orientation) ? height - 1 - row : row;
      const across = RIGHT_TO_LEFT.includes(orientation) ? width - 1 - column : column;
      for (let c = 0; c < channels; c++) made.data[to++] = data[(down * width + across) * channels + c]!;
    }
  return made;
}

/** Where the two bytes of the orientation lie in a TIFF structure. */
function place(bytes: Uint8Array, start: number, stop: number): { low: number; high: number } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, stop - start);
  const little = has(bytes, start, "II");
  if (view.byteLength < 8 || (!little && !has(bytes, start, "MM"))) return null;
  const first = view.getUint32(4, little);
  const count = first + 2 <= view.byteLength ? view.getUint16(first, little) : 0;
  for (let at = first + 2; at < first + 2 + 12 * count && at + 12 <= view.byteLength; at += 12)
    if (view.getUint16(at, little) === TAG) {
      const value = start + at + 8;
      return little ? { low: value, high: value + 1 } : { low: value + 1, high: value };
    }
  return null;
}

function found(bytes: Uint8Array, kind: Kind): Found {
  if (kind === "JPEG") return inJpeg(bytes);
  if (kind === "PNG") return inChunks(bytes, 8, false, "eXIf", "iTXt");
  if (kind === "WebP") return inChunks(bytes, 12, true, "EXIF", "XMP ");
  return { exif: null, xmp: null };
}

function inJpeg(bytes: Uint8Array): Found {
  const all: Found = { exif: null, xmp: null };
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff || marker === 0xda) {
      if (marker === 0xda) break; // the pixels begin
      at++; // a byte that fills
      continue;
    }
    const stop = at + 2 + 256 * bytes[at + 2]! + bytes[at + 3]!;
    if (marker === 0xe1 && has(bytes, at + 4, "Exif\0\0")) all.exif ??= [at + 10, Math.min(stop, bytes.length)];
    if (marker === 0xe1 && has(bytes, at + 4, "http://ns.adobe.com/xap/1.0/\0")) all.xmp = [at + 33, stop];
    at = stop;
  }
  return all;
}

/** PNG and WebP are made of chunks: of PNG the length stands before the name, and a checksum behind the content. */
function inChunks(bytes: Uint8Array, start: number, isWebP: boolean, exif: string, xmp: string): Found {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const all: Found = { exif: null, xmp: null };
  for (let at = start; at + 8 <= bytes.length; ) {
    const length = view.getUint32(isWebP ? at + 4 : at, isWebP);
    const name = isWebP ? at : at + 4;
    const content = at + 8;
    const stop = Math.min(content + length, bytes.length);
    if (has(bytes, name, exif)) all.exif = [content + (has(bytes, content, "Exif\0\0") ? 6 : 0), stop];
    if (has(bytes, name, xmp) && (isWebP || has(bytes, content, "XML:com.adobe.xmp"))) all.xmp = [content, stop];
    at = content + length + (isWebP ? length % 2 : 4);
  }
  return all;
}
