import type { Color, RawImage } from './raw-image.ts';

/**
 * A GIF's first frame without alpha, as PIL's `convert('RGB')` gives it: what is transparent has the colour that the
 * palette says, often the background of what was drawn, where the decoder puts black. `image` is RGBA, `bytes` the file.
 */
export function fillTransparent({ width, height, data }: RawImage, bytes: Uint8Array): RawImage {
  const color = transparentColor(bytes);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    rgb.set(data[from + 3] === 0 ? color : data.subarray(from, from + 3), to);
  }
  return { width, height, channels: 3, data: rgb };
}

/** The colour of the first frame's transparent index, in its own table or else the global one; black where it has none. */
function transparentColor(bytes: Uint8Array): Color {
  const byte = (at: number) => bytes[at] ?? 0;
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 * (2 << (flags & 7)) : 0);
  let index = 0; // PIL fills with it what the frame leaves out, where nothing is called transparent
  let table = 13;
  let end = table + tableBytes(byte(10));
  for (let at = end; at < bytes.length; ) {
    if (byte(at) === 0x2c) {
      const local = tableBytes(byte(at + 9));
      if (local > 0) [table, end] = [at + 10, at + 10 + local];
      break;
    }
    if (byte(at) !== 0x21) {
      at += 1; // not a block: PIL passes it over
      continue;
    }
    // A graphic control extension: a block of flags, two bytes of delay, the transparent index.
    if (byte(at + 1) === 0xf9 && byte(at + 3) & 1) index = byte(at + 6);
    at += 2;
    while (byte(at) > 0) at += 1 + byte(at);
    at += 1;
  }
  const entry = table + 3 * index;
  return entry < end ? [byte(entry), byte(entry + 1), byte(entry + 2)] : [0, 0, 0];
}
