// What kind of image file it is, by its first bytes.

export type Kind = "JPEG" | "PNG" | "GIF" | "WebP" | "BMP";

const STARTS: [Kind, number, string][] = [
  ["JPEG", 0, "\xff\xd8\xff"],
  ["PNG", 0, "\x89PNG\r\n\x1a\n"],
  ["GIF", 0, "GIF8"],
  ["WebP", 8, "WEBP"],
  ["BMP", 0, "BM"],
];
// Kinds that edgedense reads and browsers do not, or not all of them.
const OTHERS: [string, number, string][] = [
  ["a TIFF", 0, "II*\0"],
  ["a TIFF", 0, "MM\0*"],
  ["a DICOM file", 128, "DICM"],
  ["a PNM", 0, "P5"],
  ["a PNM", 0, "P6"],
  ["a HEIC or AVIF", 4, "ftyp"],
];

/** Whether `bytes` have this text, one byte a character, at a place. */
export function has(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The kind that all browsers decode, or null. */
export function kindOf(bytes: Uint8Array): Kind | null {
  return STARTS.find(([, at, text]) => has(bytes, at, text))?.[0] ?? null;
}

/** What a file is that is none of them. */
export function described(bytes: Uint8Array): string {
  if (bytes.length === 0) return "an empty file";
  return OTHERS.find(([, at, text]) => has(bytes, at, text))?.[0] ?? "data in no known image format";
}
