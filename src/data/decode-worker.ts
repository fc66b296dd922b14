/** One thread of a DecodePool: images by their sources, as pixels of the model's size. */
import { workerData } from 'node:worker_threads';
import { random } from '../core/index.ts';
import { answerQuestions } from '../threads/index.ts';
import type { DecodeSettings, DecodeTask } from './decode-pool.ts';
import { loadImage } from './image-source.ts';

const { processor, seed, exifRotate }: DecodeSettings = workerData;

answerQuestions(
  ({ source, augment }: DecodeTask) =>
    loadImage(source, processor, { random: augment && random(seed, 'augment', ...augment), exifRotate }),
  ({ data: { buffer } }) => (buffer instanceof ArrayBuffer ? [buffer] : []),
);
