/** One thread of a DecodePool: images by their sources, as pixels of the model's size. */
import { parentPort, workerData } from 'node:worker_threads';
import { DataError, random } from '../core/index.ts';
import type { DecodeReply, DecodeSettings, DecodeTask } from './decode-pool.ts';
import { loadImage } from './image-source.ts';

const { processor, seed, exifRotate }: DecodeSettings = workerData;
const port = parentPort!;

port.on('message', async ({ ticket, source, augment }: DecodeTask) => {
  try {
    const image = await loadImage(source, processor, {
      random: augment && random(seed, 'augment', ...augment),
      exifRotate,
    });
    const { buffer } = image.data;
    port.postMessage({ ticket, image } satisfies DecodeReply, buffer instanceof ArrayBuffer ? [buffer] : []);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    port.postMessage({ ticket, error: { message, isData: error instanceof DataError } } satisfies DecodeReply);
  }
});
