/** Ours under measurement, in a process of its own: answers one line of JSON for each line it reads (see ../peer.ts). */
import { createInterface } from 'node:readline';
import { floats, random } from '../../src/core/index.ts';
import { Blip2, type PrecisionChoice } from '../../src/pipelines/index.ts';
import { seconds } from '../measure.ts';

interface Settings {
  readonly model: string;
  readonly precision: PrecisionChoice;
  readonly threads: number;
}

const { model: folder, precision, threads }: Settings = JSON.parse(process.argv[2]!);
const draws = random(0, 'pictures');
const pictures = (n: number) =>
  floats(
    [n, 3, 224, 224],
    Float32Array.from({ length: n * 3 * 224 * 224 }, () => draws.normal()),
  );

const model = await Blip2.fromPretrained(folder, { precision, threads });

/** Captions of `n` new pictures, exactly `tokens` long. */
const caption = (n: number, tokens: number, numBeams = 1) => {
  const images = pictures(n);
  return seconds(() =>
    model.caption(images, { prompt: 'a photo of', numBeams, maxNewTokens: tokens, minNewTokens: tokens }),
  );
};

const answers: Record<string, (...numbers: number[]) => Promise<Record<string, number>>> = {
  caption: async (n = 1, tokens = 20, beams = 1) => ({ seconds: await caption(n, tokens, beams) }),
  vision: async () => {
    const images = pictures(1);
    return { seconds: await seconds(() => model.encodeImages(images)) };
  },
  memory: async () => ({ gigabytes: (process.resourceUsage().maxRSS * 1024) / 1e9 }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...numbers] = line.split(' ');
  process.stdout.write(`${JSON.stringify(await answers[command!]!(...numbers.map(Number)))}\n`);
}
