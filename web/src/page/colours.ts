// A heatmap as colours: as edgedense/explanations/colormap.py has them.

import type { Heatmap } from "../contract";

// Matplotlib's "plasma" (Smith and van der Walt, 2015; CC0) at 17 points, in between linear.
// prettier-ignore
const PLASMA = [
  [13, 8, 135], [49, 5, 151], [76, 2, 161], [102, 0, 167], [126, 3, 168], [149, 17, 161], [170, 35, 149],
  [188, 53, 135], [204, 71, 120], [218, 90, 106], [230, 108, 92], [240, 128, 78], [248, 149, 64], [253, 172, 51],
  [253, 197, 39], [248, 223, 37], [240, 249, 33],
] as const;
const STRENGTH = 0.75; // the share of the colour where a heatmap is highest; where it is zero the picture is untouched
const FINE = 192; // pixels of the longer side that a heatmap is enlarged to; the browser enlarges it further

/** A canvas to be drawn over the heatmap's window: the higher the heatmap, the less of the picture is left. */
export function coloured(heatmap: Heatmap): HTMLCanvasElement {
  const scale = Math.max(1, FINE / Math.max(heatmap.height, heatmap.width));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(heatmap.width * scale);
  canvas.height = Math.round(heatmap.height * scale);
  const at = canvas.getContext("2d");
  if (!at) throw new Error("this browser draws no pictures");
  const image = at.createImageData(canvas.width, canvas.height);
  for (let y = 0, i = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, i += 4) {
      const heat = Math.min(1, Math.max(0, between(heatmap, (y + 0.5) / canvas.height, (x + 0.5) / canvas.width)));
      image.data.set(colour(heat), i);
      image.data[i + 3] = 255 * STRENGTH * heat;
    }
  }
  at.putImageData(image, 0, 0);
  return canvas;
}

/** The colour of 0 to 1: dark blue, purple, orange, yellow. */
export function colour(heat: number): [number, number, number] {
  const place = heat * (PLASMA.length - 1);
  const low = PLASMA[Math.floor(place)] ?? PLASMA[0];
  const high = PLASMA[Math.ceil(place)] ?? low;
  const share = place - Math.floor(place);
  return [0, 1, 2].map((c) => Math.round(low[c]! + share * (high[c]! - low[c]!))) as [number, number, number];
}

/** Bilinear with half-pixel centres, at shares of the height and width. */
function between(heatmap: Heatmap, down: number, right: number): number {
  const { height, width, values } = heatmap;
  const y = Math.min(height - 1, Math.max(0, down * height - 0.5));
  const x = Math.min(width - 1, Math.max(0, right * width - 0.5));
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [bottom, end] = [Math.min(height - 1, top + 1), Math.min(width - 1, left + 1)];
  const value = (row: number, column: number) => values[row * width + column] ?? 0;
  const above = value(top, left) + (x - left) * (value(top, end) - value(top, left));
  const below = value(bottom, left) + (x - left) * (value(bottom, end) - value(bottom, left));
  return above + (y - top) * (below - above);
}
