/** blip2-opt-2.7b's size with random weights beside transformers, both reading the same folder: captions of 20 tokens. */
import { createReadStream } from 'node:fs';
import { dtypes, elements } from '../src/core/index.ts';
import { Checkpoint } from '../src/hub/index.ts';
import { folderAt, type PrecisionChoice } from '../src/pipelines/index.ts';
import { type Claim, compare, compared, lessIsBetter, type Row, seconds } from './measure.ts';
import { Peer } from './peer.ts';
import { randomCheckpoint } from './random-checkpoint.ts';

const threads = 2;
const rounds = 3;
const tokens = 20;

type PeerPrecision = 'fp32' | 'bf16';

/** Our process and theirs; each loads the model before it answers. */
const ours = (model: string, precision: PrecisionChoice) => Peer.ours('caption', { model, precision, threads });
const theirs = (model: string, precision: PeerPrecision) =>
  Peer.start('blip2_caption.py', { model, precision, threads });

const secondsOf = async (subject: Peer, command: string) => (await subject.ask(command)).seconds!;
const gigabytesOf = async (subject: Peer) => (await subject.ask('memory')).gigabytes!;

/** A claim about the folder of random weights. */
const claim = (description: string, measure: (model: string) => AsyncIterable<Row>): Claim => ({
  description,
  async *run() {
    yield* measure(await randomCheckpoint());
  },
});

/** A quantised model beside transformers in fp32 and in bf16, in turns. */
async function* beside(
  model: string,
  { name, precision, command, memory }: { name: string; precision: PrecisionChoice; command: string; memory: boolean },
): AsyncGenerator<Row> {
  await folderAt(model, { precision }); // quantised once, outside of what is measured
  for (const other of ['fp32', 'bf16'] as const) {
    const [we, they] = [ours(model, precision), theirs(model, other)];
    yield await compare(
      { name: `${name}-vs-${other}`, unit: 's', rounds },
      () => secondsOf(we, command),
      () => secondsOf(they, command),
    );
    if (memory && other === 'fp32') {
      yield lessIsBetter({ name: `${name}-memory`, unit: 'GB' }, await gigabytesOf(we), await gigabytesOf(they));
    }
    await we.close();
    await they.close();
  }
}

/** Two subjects that do not fit in memory together, one after the other, each after its files have been read. */
async function oneAfterTheOther(
  name: string,
  command: string,
  { model, ...subjects }: { model: string; ours: () => Peer; peer: () => Peer },
): Promise<Row[]> {
  const measure = async (start: () => Peer) => {
    await readFiles(model);
    const subject = start();
    const first = await seconds(() => subject.ask('caption 1 1'));
    const times: number[] = [];
    for (let round = 0; round <= rounds; round++) times.push(await secondsOf(subject, command));
    const result = { first, times: times.slice(1), memory: await gigabytesOf(subject) };
    await subject.close();
    return result;
  };
  const [peer, mine] = [await measure(subjects.peer), await measure(subjects.ours)];
  return [
    compared({ name, unit: 's' }, mine.times, peer.times),
    lessIsBetter({ name: `${name}-memory`, unit: 'GB' }, mine.memory, peer.memory),
    lessIsBetter({ name: `${name}-first-token`, unit: 's' }, mine.first, peer.first),
  ];
}

/** So that no subject finds its files in memory because another has read them before. */
async function readFiles(model: string): Promise<void> {
  for (const file of (await Checkpoint.open(model)).files) {
    for await (const _ of createReadStream(file, { highWaterMark: 2 ** 24 }));
  }
}

const one = `caption 1 ${tokens}`;

export const captionInt8 = claim('one caption in int8 beside transformers: time, memory', (model) =>
  beside(model, { name: 'caption-int8', precision: 'int8', command: one, memory: true }),
);

export const captionInt4 = claim('one caption in int4 (image side int8) beside transformers: time, memory', (model) =>
  beside(model, { name: 'caption-int4', precision: 'int4', command: one, memory: true }),
);

export const captionBeam = claim('one caption with five beams in int8 beside transformers', (model) =>
  beside(model, { name: 'caption-beam', precision: 'int8', command: `${one} 5`, memory: false }),
);

export const captionFp32 = claim(
  'one caption in fp32: time, memory, and from process start to first token',
  async function* (model) {
    yield* await oneAfterTheOther('caption-fp32', one, {
      model,
      ours: () => ours(model, 'fp32'),
      peer: () => theirs(model, 'fp32'),
    });
  },
);

export const vitInt8 = claim('the image encoder alone, int8 beside fp32', (model) =>
  beside(model, { name: 'vit-int8', precision: 'int8', command: 'vision', memory: false }),
);

export const start = claim('from process start to the first token, int8, files in the cache', async function* (model) {
  await folderAt(model, { precision: 'int8' });
  const first = (begin: () => Peer) => async () => {
    const subject = begin();
    const time = await seconds(() => subject.ask('caption 1 1'));
    await subject.close();
    return time;
  };
  yield await compare(
    { name: 'start', unit: 's', rounds },
    first(() => ours(model, 'int8')),
    first(() => theirs(model, 'bf16')),
  );
});

export const decode = claim(
  'a token of decoding in int8 beside the time to read its weights from memory',
  async function* (model) {
    const folder = await folderAt(model, { precision: 'int8' });
    const { entries } = await Checkpoint.open(folder);
    // Neither embeddings nor what is kept beside the blocks for products of many rows.
    const others = /embed_(tokens|positions)\.weight$|\.int8_columns(_scale)?$/;
    const read = [...entries].filter(([name]) => name.startsWith('language_model.') && !others.test(name));
    const bytes = read.reduce((sum, [, { dtype, shape }]) => sum + dtypes[dtype].bytes * elements(shape), 0);
    const [we, memory] = [ours(model, 'int8'), Peer.start('bandwidth.py', { threads })];
    const gigabytes = bytes / 1e9;
    const row = await compare(
      { name: 'decode-over-bandwidth-limit', unit: 's per token', rounds },
      async () => ((await secondsOf(we, 'caption 1 61')) - (await secondsOf(we, 'caption 1 21'))) / 40,
      async () => gigabytes / (await memory.ask('read')).gigabytes_per_second!,
    );
    const perSecond = { ours: gigabytes / row.ours, peer: gigabytes / row.peer };
    yield { ...row, gigabytesPerToken: gigabytes, gigabytesPerSecond: perSecond };
    await we.close();
    await memory.close();
  },
);
