/** A folder of pictures at blip2-opt-2.7b's size: files in, captions of 20 tokens out, beside transformers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { random } from '../src/core/index.ts';
import { folderAt } from '../src/pipelines/index.ts';
import { type Claim, lessIsBetter } from './measure.ts';
import { Peer } from './peer.ts';
import { randomCheckpoint } from './random-checkpoint.ts';

const threads = 2;
const count = 64;
const batchSize = 32;

/** The peer's batches, and of how many pictures: 64 would take it five minutes at each size, so it captions fewer. */
const peerRuns = [
  { batch: 1, images: 3 },
  { batch: 4, images: 8 },
  { batch: 8, images: 16 },
] as const;

export const folderInt8: Claim = {
  description: '64 picture files in int8 beside transformers in fp32 at its best batch size: seconds per picture',
  async *run() {
    const model = await randomCheckpoint();
    await folderAt(model, { precision: 'int8' }); // quantised once, outside of what is measured
    const folder = mkdtempSync(join(tmpdir(), 'bench-folder-'));
    try {
      const files = await drawPictures(folder);
      // One after the other: the two do not fit in memory together.
      const they = Peer.start('blip2_folder.py', { model, files, threads });
      await secondsPerImage(they, { batch: 1, images: 1 });
      const peers: { batch: number; time: number }[] = [];
      for (const run of peerRuns) peers.push({ batch: run.batch, time: await secondsPerImage(they, run) });
      await they.close();
      const best = peers.reduce((a, b) => (a.time < b.time ? a : b));

      const we = Peer.ours('folder', { model, files, threads });
      await secondsPerImage(we, { batch: batchSize, images: batchSize }); // as the others: what is compiled first does not count
      const ours = await secondsPerImage(we, { batch: batchSize, images: count });
      await we.close();
      yield {
        ...lessIsBetter({ name: 'folder-int8', unit: 's per image' }, ours, best.time),
        oursBatch: batchSize,
        peerBatch: best.batch,
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function secondsPerImage(subject: Peer, { batch, images }: { batch: number; images: number }): Promise<number> {
  return (await subject.ask(`caption ${batch} ${images}`)).seconds! / images;
}

/** Photographs as far as a decoder is concerned: JPEG, 640 x 480, of smooth noise. */
function drawPictures(folder: string): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const draws = random(i, 'picture');
      const colors = Uint8Array.from({ length: 16 * 12 * 3 }, () => draws.below(256));
      const file = join(folder, `${String(i).padStart(2, '0')}.jpg`);
      await sharp(colors, { raw: { width: 16, height: 12, channels: 3 } })
        .resize(640, 480)
        .jpeg()
        .toFile(file);
      return file;
    }),
  );
}
