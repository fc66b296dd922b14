/** A signal that says "enough" ends whatever a model is doing, with the signal's own reason. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { Blip2, exportModel, exportOnnx } from './index.ts';

const image = { width: 28, height: 28, channels: 3 as const, data: new Uint8Array(28 * 28 * 3).fill(90) };
const drain = async (pieces: AsyncIterable<string>) => {
  for await (const _ of pieces);
};

let folder: string;
let model: Blip2;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-signals-'));
  await writeRandomModel(folder, { language: true });
  model = await Blip2.fromPretrained(folder);
});
afterAll(async () => {
  await model.release();
  await rm(folder, { recursive: true });
});

const long = { minNewTokens: 20 };
const pairs = [{ image: 0, text: 0 }];
const uses: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
  fromPretrained: (signal) => Blip2.fromPretrained(folder, { signal }),
  encodeImages: (signal) => model.encodeImages([image], { signal }),
  attention: (signal) => model.attention(image, { signal }),
  exportModel: (signal) => exportModel(folder, join(folder, 'exported'), { signal }),
  exportOnnx: (signal) => exportOnnx(folder, join(folder, 'onnx'), { signal }),
  caption: (signal) => model.caption([image], { ...long, signal }),
  streamCaption: (signal) => drain(model.streamCaption(image, { ...long, signal })),
  captionLogProbabilities: (signal) => model.captionLogProbabilities([image], ['a cat'], { signal }),
  answer: (signal) => model.answer(image, 'a', { ...long, signal }),
  'answer with candidates': (signal) => model.answer(image, 'a', { candidates: ['cat', 'dog'], signal }),
  streamAnswer: (signal) => drain(model.streamAnswer(image, 'a', { ...long, signal })),
  chat: (signal) => drain(model.chat(image).ask('a', { ...long, signal })),
  match: (signal) => model.match(image, ['a cat'], { signal }),
  matchPairs: (signal) => model.matchPairs([image], { texts: ['a cat'], pairs, signal }),
  embed: (signal) => model.embed({ images: [image], texts: ['a cat'], signal }),
  trace: (signal) => model.trace({ image, signal }),
};

it.each(Object.entries(uses))('%s', async (_, use) => {
  const reason = new Error('enough');
  await expect(use(AbortSignal.abort(reason))).rejects.toBe(reason);
  await use(new AbortController().signal); // and not otherwise
});

it.each(['caption', 'streamCaption', 'answer', 'streamAnswer', 'chat'])('%s, between two tokens', async (name) => {
  const reason = new Error('enough');
  const signal = new AbortController().signal;
  let looks = 0;
  signal.throwIfAborted = () => {
    looks += 1;
    if (looks === 5) throw reason;
  };
  await expect(uses[name]!(signal)).rejects.toBe(reason);
});
