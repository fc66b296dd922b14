/** A small set of cut-outs in the layout of the real one. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { random } from '../src/core/index.ts';

/** What the pictures of every split show; the captions put `a` before. */
export const nouns = ['red cat', 'blue cat', 'red dog', 'blue dog', 'red apple', 'blue apple'];

/** Clip art that training shows and the held-out items repeat, and another style of the same things. */
export async function writeSmallCutouts(folder: string): Promise<void> {
  await mkdir(join(folder, 'images'), { recursive: true });
  const rows = ['heldout_style', 'heldout_items', 'train'].flatMap((split, s) =>
    nouns.map((noun, i) => {
      const image = `images/${split === 'heldout_style' ? 'style' : 'clip-art'}-${i}.png`;
      const source = split === 'heldout_style' ? 'emoji-x' : 'openclipart';
      const caption = `a ${noun}`;
      return { id: s * nouns.length + i, image, caption, captions: [caption], source, group: '', subgroup: '', split };
    }),
  );
  for (const { image } of rows) await writePicture(join(folder, image), image);
  await writeFile(join(folder, 'data.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** Noise that depends on the name, in a square with transparent margins. */
async function writePicture(file: string, name: string): Promise<void> {
  const draws = random(1, name);
  const data = Uint8Array.from({ length: 12 * 12 * 4 }, (_, i) => (i % 4 === 3 ? 255 : draws.below(256)));
  await sharp(data, { raw: { width: 12, height: 12, channels: 4 } })
    .extend({ top: 2, bottom: 2, left: 2, right: 2, background: '#0000' })
    .png()
    .toFile(file);
}
