/** Captions of ever new pictures of all sizes, and the memory that the process has then (see ../peer.ts). */
import { createInterface } from 'node:readline';
import { type Random, random } from '../../src/core/index.ts';
import { Blip2, type ImageInput } from '../../src/pipelines/index.ts';

const { model: name }: { readonly model: string } = JSON.parse(process.argv[2]!);
const model = await Blip2.fromPretrained(name);
const draws = random(0, 'pictures');

function picture(draws: Random): ImageInput {
  const [width, height] = [64 + draws.below(512), 64 + draws.below(512)];
  const data = new Uint8Array(width * height * 3);
  const [first, step] = [draws.below(256), 1 + draws.below(64)];
  for (let i = 0; i < data.length; i++) data[i] = first + i * step;
  return { width, height, channels: 3, data };
}

for await (const line of createInterface({ input: process.stdin })) {
  const count = Number(line.split(' ')[1]);
  for (let i = 0; i < count; i++) await model.caption([picture(draws)]);
  process.stdout.write(`${JSON.stringify({ megabytes: process.memoryUsage.rss() / 1e6 })}\n`);
}
