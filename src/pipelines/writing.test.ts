/** How many texts are written, in what order and pieces, where they end, and what there is room for. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { UsageError } from '../core/index.ts';
import { Blip2, type Written } from './index.ts';

const plain = (level: number) => ({ width: 28, height: 28, channels: 3 as const, data: pixels(level) });
const pixels = (level: number) => new Uint8Array(28 * 28 * 3).fill(level);
const pictures = [plain(40), plain(200)];

let folder: string;
let writer: Blip2; // the Q-Former itself
let model: Blip2; // a language model
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-writing-'));
  await writeRandomModel(join(folder, 'stage1'), { temperature: 0.05 });
  await writeRandomModel(join(folder, 'stage2'), { language: true });
  writer = await Blip2.fromPretrained(join(folder, 'stage1'));
  model = await Blip2.fromPretrained(join(folder, 'stage2'));
});
afterAll(async () => {
  await writer.release();
  await model.release();
  await rm(folder, { recursive: true });
});

const textsOf = (written: readonly Written[]) => written.map(({ text }) => text);

async function collect(pieces: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

describe('several texts', () => {
  it.each([
    ['beams', { numBeams: 4, numReturnSequences: 3 }],
    ['draws', { doSample: true, seed: 2, numReturnSequences: 3 }],
  ])('of an image stand before those of the next: %s', async (_, how) => {
    const options = { maxNewTokens: 6, ...how };
    for (const each of [writer, model]) {
      const together = await each.caption(pictures, options);
      const alone = await Promise.all(pictures.map((picture) => each.caption([picture], options)));
      expect(textsOf(together)).toEqual(alone.flatMap(textsOf));
      expect(together).toHaveLength(6);
      if (!('numBeams' in how)) continue;
      for (const found of alone) expect(found).toEqual(found.toSorted((a, b) => b.score - a.score));
    }
  });

  it('are answers, the best of which is the answer', async () => {
    const options = { maxNewTokens: 6, numBeams: 3 };
    const answers = await model.answers(pictures[0]!, 'a cat', { ...options, numReturnSequences: 2 });
    expect(answers).toHaveLength(2);
    expect(answers[0]).toEqual(await model.answer(pictures[0]!, 'a cat', options));
    await expect(model.answers(pictures[0]!, 'a cat', { numReturnSequences: 2 })).rejects.toThrow(UsageError);
  });

  it('are candidates by their likelihood', async () => {
    const candidates = ['cat', 'red dog', 'the blue apple'];
    const ranked = await model.answers(pictures[0]!, 'what', { candidates, numReturnSequences: 3 });
    expect(textsOf(ranked).sort()).toEqual(candidates.toSorted());
    for (const { text, score } of ranked) {
      const alone = await model.answer(pictures[0]!, 'what', { candidates: [text] });
      expect(alone.score).toBeCloseTo(score, 4);
    }
    expect(ranked).toEqual(ranked.toSorted((a, b) => b.score - a.score));
  });

  it('are candidates, also where there are more than are read at once', async () => {
    const words = 'a b c cat dog apple on the left of'.split(' ');
    const candidates = words.flatMap((first) => words.map((second) => `${first} ${second}`));
    const ranked = await model.answers(pictures[0]!, 'what', { candidates, numReturnSequences: candidates.length });
    expect(textsOf(ranked).sort()).toEqual(candidates.toSorted());
    const some = candidates.filter((_, i) => i % 9 === 0);
    const alone = await model.answers(pictures[0]!, 'what', { candidates: some, numReturnSequences: some.length });
    const scoreOf = new Map(ranked.map(({ text, score }) => [text, score]));
    for (const { text, score } of alone) expect(scoreOf.get(text)).toBeCloseTo(score, 4);
    expect(ranked).toEqual(ranked.toSorted((a, b) => b.score - a.score));
  });
});

describe('the best of several captions', () => {
  it.each([
    ['beams', { numBeams: 4 }],
    ['draws', { doSample: true, seed: 3 }],
  ])('is the likeliest to be written and to be found: %s', async (_, how) => {
    const options = { ...how, maxNewTokens: 5, minNewTokens: 3, prompt: 'a' };
    const written = await writer.caption(pictures, { ...options, numReturnSequences: 4 });
    const best = await writer.caption(pictures, { ...options, bestOf: 4, numReturnSequences: 3 });
    const [temperature] = await writer.files.checkpoint.readFloat32('temp');
    for (const [i, picture] of pictures.entries()) {
      const some = written.slice(4 * i, 4 * i + 4);
      const texts = some.map(({ text }) => `a ${text}`);
      const matches = await writer.match(picture, texts);
      const score = (at: number) => some[at]!.logProbability + matches[at]!.itc / temperature!;
      const order = [0, 1, 2, 3].sort((a, b) => score(b) - score(a));
      expect(best.slice(3 * i, 3 * i + 3)).toEqual(order.slice(0, 3).map((at) => some[at]));
    }
    expect(best.slice(0, 3)).not.toEqual(written.slice(0, 3)); // likelihood alone orders them otherwise
    expect(await writer.caption(pictures, { ...options, bestOf: 4 })).toEqual([best[0], best[3]]);
  });

  it('takes as many beams as it needs', async () => {
    const options = { maxNewTokens: 5 };
    expect(await writer.caption(pictures, { ...options, bestOf: 4 })).toEqual(
      await writer.caption(pictures, { ...options, bestOf: 4, numBeams: 4 }),
    );
  });

  it('cannot be of fewer than are returned', async () => {
    await expect(writer.caption(pictures, { bestOf: 1, numReturnSequences: 2 })).rejects.toThrow(UsageError);
  });
});

describe('a stream', () => {
  it.each([{}, { numBeams: 3 }, { doSample: true, seed: 4 }])(
    'is what is written at once, in pieces: %o',
    async (how) => {
      const options = { maxNewTokens: 8, minNewTokens: 8, ...how };
      for (const each of [writer, model]) {
        const pieces = await collect(each.streamCaption(pictures[1]!, options));
        expect(pieces.join('')).toBe((await each.caption([pictures[1]!], options))[0]!.text);
      }
      const answer = await collect(model.streamAnswer(pictures[1]!, 'the dog', options));
      expect(answer.join('')).toBe((await model.answer(pictures[1]!, 'the dog', options)).text);
      if ('numBeams' in how) expect(answer).toHaveLength(1);
      if ('doSample' in how) expect(answer.length).toBeGreaterThan(1);
    },
  );
});

describe('a stop string', () => {
  it('ends a text before it, also in a stream', async () => {
    for (const each of [writer, model]) {
      const options = { maxNewTokens: 20, minNewTokens: 20 };
      const [whole] = await each.caption([pictures[0]!], options);
      const words = whole!.text.split(' ');
      const stop = words[Math.floor(words.length / 2)]!;
      const stopStrings = ['never there', stop];
      const before = whole!.text.slice(0, whole!.text.indexOf(stop)).trim();
      const [cut] = await each.caption([pictures[0]!], { ...options, stopStrings });
      expect(cut!.text).toBe(before);
      expect((await collect(each.streamCaption(pictures[0]!, { ...options, stopStrings }))).join('')).toBe(before);
    }
  });
});

describe('a stop string of white space', () => {
  it.each(['the first word', 'a later word'])('ends a text as soon as it is written: %s', async (which) => {
    const options = { maxNewTokens: 8 };
    const [whole] = await model.caption([pictures[0]!], { ...options, minNewTokens: 8 });
    const words = whole!.text.split(' ');
    const at =
      which === 'the first word' ? 0 : words.findIndex((word, i) => i > 0 && !words.slice(0, i).includes(word));
    // The same model, but with a line break for that word.
    const other = join(folder, which);
    await writeRandomModel(other, { language: true });
    const file = join(other, 'tokenizer.json');
    const { model: tokenizer, ...rest } = JSON.parse(await readFile(file, 'utf8'));
    const vocab = Object.fromEntries(
      Object.entries(tokenizer.vocab).map(([piece, id]) => [piece === words[at] ? '\n' : piece, id]),
    );
    await writeFile(file, JSON.stringify({ ...rest, model: { ...tokenizer, vocab } }));
    const breaking = await Blip2.fromPretrained(other);
    const [cut] = await breaking.caption([pictures[0]!], { ...options, stopStrings: ['\n'] });
    expect(cut!.text).toBe(words.slice(0, at).join(' '));
    const shorter = await Promise.all(
      Array.from({ length: 8 }, (_, n) => model.caption([pictures[0]!], { maxNewTokens: n + 1 })),
    );
    const upToIt = shorter.flat().find(({ text }) => text.split(' ').filter(Boolean).length > at);
    expect(cut!.logProbability).toBeCloseTo(upToIt!.logProbability, 5);
    const pieces = await collect(breaking.streamCaption(pictures[0]!, { ...options, stopStrings: ['\n'] }));
    expect(pieces.join('')).toBe(cut!.text);
    await breaking.release();
  });
});

it('repeats no words of the prompt where no n-grams may repeat', async () => {
  const options = {
    maxNewTokens: 8,
    minNewTokens: 8,
    doSample: true,
    temperature: 9,
    numReturnSequences: 20,
    prompt: 'cat',
  };
  for (const each of [writer, model]) {
    const wordsOf = async (noRepeatNgramSize: number) =>
      textsOf(await each.caption([pictures[0]!], { ...options, noRepeatNgramSize }))
        .join(' ')
        .split(' ');
    expect(await wordsOf(0)).toContain('cat');
    expect(await wordsOf(1)).not.toContain('cat');
  }
});

describe('positions', () => {
  it('that a prompt leaves too few of are counted before anything is written', async () => {
    const { config, language } = model.files;
    const room = language!.lm.maxPositions! - config.num_query_tokens;
    const tokens = language!.tokenizer.encode('a b c').length;
    const fits = { prompt: 'a b c', maxNewTokens: room - tokens + 1, minNewTokens: room - tokens + 1 };
    expect(await model.caption(pictures, fits)).toHaveLength(2);
    const tooLong = model.caption(pictures, { ...fits, maxNewTokens: fits.maxNewTokens + 1 });
    await expect(tooLong).rejects.toThrow(UsageError);
    await expect(tooLong).rejects.toThrow(
      `a prompt of ${tokens} tokens after ${config.num_query_tokens} queries leaves no room for ` +
        `${fits.maxNewTokens + 1} more in the ${language!.lm.maxPositions} positions`,
    );
    const long = 'a '.repeat(room);
    await expect(model.answer(pictures[0]!, long)).rejects.toThrow(UsageError);
    await expect(model.answer(pictures[0]!, 'a', { candidates: [long] })).rejects.toThrow(UsageError);
    await expect(model.captionLogProbabilities([pictures[0]!], [long])).rejects.toThrow(UsageError);
  });

  it('of the Q-Former are those of its texts', async () => {
    const last = writer.files.config.qformer_config.max_position_embeddings;
    const options = { minNewTokens: last };
    expect(await writer.caption([pictures[0]!], { ...options, maxNewTokens: last })).toHaveLength(1);
    await expect(writer.caption([pictures[0]!], { ...options, maxNewTokens: last + 1 })).rejects.toThrow(UsageError);
  });
});
