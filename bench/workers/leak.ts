/** Captions of ever new pictures of all sizes, and the memory that the process has then (see ../peer.ts). */
import { createInterface } from 'node:readline';
import { type Random, random } from '../../src/core/index.ts';
import { Blip2, type ImageInput } from '../../src/pipelines/index.ts';

const { model: name }: { readonly model: string } = JSON.parse(process.argv[2]!);
const model = await Blip2.fromPretrained(name);
const draws = random(0, 'pictures');

function picture(draws: Random): ImageInput {
  const [width, height] = [64 + draws.below(512), 64 + draws.below(512)];
  const color = Uint8Array.from({ length: 3 }, () => draws.below(256));
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => color[i % 3]! ^ (i >> 6));
  return { width, height, channels: 3, data };
}

for await (const line of createInterface({ input: process.stdin })) {
  const count = Number(line.split(' ')[1]);
  for (let i = 0; i < count; i++) await model.caption([picture(draws)]);
  process.stdout.write(`${JSON.stringify({ megabytes: process.memoryUsage.rss() / 1e6 })}\n`);
}
