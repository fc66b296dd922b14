/** Ours under measurement: the stream of `blip2 caption FOLDER` (see ../peer.ts). */
import { createInterface } from 'node:readline';
import { captions } from '../../src/cli/captions.ts';
import { decodeImages } from '../../src/cli/images.ts';
import { Blip2 } from '../../src/pipelines/index.ts';
import { seconds } from '../measure.ts';

interface Settings {
  readonly model: string;
  readonly files: readonly string[];
  readonly threads: number;
}

const { model: folder, files, threads }: Settings = JSON.parse(process.argv[2]!);
const model = await Blip2.fromPretrained(folder, { precision: 'int8', threads });

/** Captions of exactly 20 tokens of the first `images` files. */
async function caption(batchSize: number, images: number): Promise<void> {
  const decoded = decodeImages(files.slice(0, images), { processor: model.files.processor, ahead: 2 * batchSize });
  const writing = { prompt: 'a photo of', maxNewTokens: 20, minNewTokens: 20 };
  for await (const record of captions(model, decoded, { batchSize, ...writing })) void record;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [batch, images] = line.split(' ').slice(1).map(Number);
  const answer = { seconds: await seconds(() => caption(batch!, images!)) };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
