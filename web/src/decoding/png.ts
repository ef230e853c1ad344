// PNG files, decoded by a library and not by the browser: a canvas multiplies colours with their transparency, and
// browsers make 8 bits of 16 in different ways. So a PNG gives the same pixels everywhere, those that edgedense takes.
import { decode, type DecodedPng } from "fast-png";
import { blank, type Pixels } from "../preprocessing/pixels";
import { problem } from "../problems";

const WHITE: Record<number, number> = { 12: 4095, 16: 65535 };

/** The pixels of a PNG, without its transparency. `depth` says which value of 16 bits is white, in grey alone. */
export function png(bytes: Uint8Array, depth: number): Pixels {
  const image = decoded(bytes);
  const isGrey = image.channels <= 2 && !image.palette;
  if (image.depth === 16 && depth === 12 && image.channels !== 1)
    throw problem("a grey picture without transparency where 16 bits hold 12", `one with ${image.channels} channels`, "save it in grey");
  const { data, height, width } = image;
  const channels = isGrey ? 1 : 3;
  if (image.depth === 8 && image.channels === channels && !image.palette)
    return { height, width, channels, data: new Uint8Array(data as Uint8Array) };
  const level = levelOf(image, depth);
  const made = blank(height, width, channels);
  const step = image.channels;
  const values = samples(image);
  for (let i = 0, to = 0; to < made.data.length; i += step) {
    if (image.palette) {
      const colour = image.palette[values[i]!] ?? [0, 0, 0];
      for (let c = 0; c < 3; c++) made.data[to++] = colour[c]!;
    } else for (let c = 0; c < made.channels; c++) made.data[to++] = level(values[i + c]!);
  }
  return made;
}

function decoded(bytes: Uint8Array): DecodedPng {
  try {
    return decode(bytes, { checkCrc: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw problem("a whole PNG", `damaged data (${why})`, "save the picture again");
  }
}

/** A sample -> its level. */
function levelOf(image: DecodedPng, depth: number): (sample: number) => number {
  if (image.depth < 8) return (sample) => (sample * 255) / ((1 << image.depth) - 1);
  if (image.depth === 8) return (sample) => sample;
  const white = WHITE[depth];
  if (white === undefined || image.channels !== 1) return (sample) => sample >> 8;
  return (sample) => Math.floor((Math.min(sample, white) * 255 + Math.floor(white / 2)) / white);
}

/** One sample after the other. Those of less than 8 bits come packed, each row in whole bytes. */
function samples({ data, depth, height, width }: DecodedPng): ArrayLike<number> {
  if (depth >= 8) return data;
  const [each, length] = [8 / depth, Math.ceil((width * depth) / 8)];
  const found = new Uint8Array(height * width);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const byte = data[y * length + Math.floor(x / each)]!;
      found[to++] = (byte >> (8 - depth * ((x % each) + 1))) & ((1 << depth) - 1);
    }
  return found;
}
