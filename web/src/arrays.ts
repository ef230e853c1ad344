// Arrays as site.json has them: base64 of little-endian values, which is how every browser's processor keeps them.

export type Values = Float32Array | Uint8Array | Int8Array;

const KINDS = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };

export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function valuesOf(base64: string, dtype: keyof typeof KINDS): Values {
  return new KINDS[dtype](bytesOf(base64).buffer as ArrayBuffer);
}

/** The real values of a tensor that may be quantized. */
export function real(raw: Values, tensor: { scale: number; zero_point: number }): Float32Array {
  if (raw instanceof Float32Array) return raw;
  return Float32Array.from(raw, (value) => Math.fround(value - tensor.zero_point) * Math.fround(tensor.scale));
}
