// Pictures as the network takes them: levels from 0 to 255, row by row, the channels of a pixel side by side.

export interface Pixels {
  height: number;
  width: number;
  channels: 1 | 3; // grey, or red, green and blue
  data: Uint8Array<ArrayBuffer>;
}

export function blank(height: number, width: number, channels: 1 | 3): Pixels {
  return { height, width, channels, data: new Uint8Array(height * width * channels) };
}

/** RGB -> the nearest grey level to 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), in the 16-bit fixed point of
 * Pillow's mode "L". What is grey keeps its levels. */
export function grey(picture: Pixels): Pixels {
  if (picture.channels === 1) return picture;
  const made = blank(picture.height, picture.width, 1);
  const { data } = picture;
  for (let i = 0, at = 0; i < made.data.length; i++, at += 3)
    made.data[i] = (data[at]! * 19595 + data[at + 1]! * 38470 + data[at + 2]! * 7471 + 0x8000) >> 16;
  return made;
}

/** The picture with so many channels: grey is repeated, RGB is made grey. */
export function withChannels(picture: Pixels, channels: 1 | 3): Pixels {
  if (picture.channels === channels) return picture;
  if (channels === 1) return grey(picture);
  const made = blank(picture.height, picture.width, 3);
  for (let i = 0; i < picture.data.length; i++) made.data.fill(picture.data[i]!, 3 * i, 3 * i + 3);
  return made;
}

/** Whole numbers as Python's `round` and NumPy's `rint` give them: a half goes to the even one. */
export function rint(value: number): number {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
