import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { ConfigError } from '../core/index.ts';
import { chatPrompt } from './chat.ts';
import { Blip2 } from './index.ts';

const grey = { width: 28, height: 28, channels: 3 as const, data: new Uint8Array(28 * 28 * 3).fill(90) };

let folder: string;
let model: Blip2;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-chat-'));
  await writeRandomModel(join(folder, 'stage1'));
  await writeRandomModel(join(folder, 'stage2'), { language: true });
  model = await Blip2.fromPretrained(join(folder, 'stage2'));
});
afterAll(async () => {
  await model.release();
  await rm(folder, { recursive: true });
});

const collect = async (pieces: AsyncIterable<string>): Promise<string> => {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
};

describe('a conversation', () => {
  it('is put to the model as in the example of LAVIS', () => {
    const turns = [
      { question: 'which city is this?', answer: 'singapore' },
      { question: 'why?', answer: 'it has a statue of a merlion.' },
    ];
    expect(chatPrompt(turns, 'where is the name merlion coming from?')).toBe(
      'Question: which city is this? Answer: singapore. Question: why? Answer: it has a statue of a merlion. ' +
        'Question: where is the name merlion coming from? Answer:',
    );
  });

  it.each([{}, { numBeams: 3 }, { doSample: true, seed: 4 }])('answers with all of it in mind: %o', async (how) => {
    const chat = model.chat(grey);
    const options = { maxNewTokens: 6, ...how };
    for (const question of ['a cat', 'the dog', 'of apple']) {
      const prompt = chatPrompt(chat.turns, question);
      const { text } = await model.answer(grey, prompt, { ...options, raw: true });
      expect(await collect(chat.ask(question, options))).toBe(text);
      expect(chat.turns.at(-1)).toEqual({ question, answer: text });
    }
    expect(chat.turns).toHaveLength(3);
  });

  it('looks at the image once', async () => {
    let reads = 0;
    const watched = {
      ...grey,
      get data() {
        reads += 1;
        return grey.data;
      },
    };
    const chat = model.chat(watched);
    await collect(chat.ask('a cat', { maxNewTokens: 2 }));
    const once = reads;
    expect(once).toBeGreaterThan(0);
    await collect(chat.ask('the dog', { maxNewTokens: 2 }));
    expect(reads).toBe(once);
  });

  it('does not remember an answer that was broken off', async () => {
    const chat = model.chat(grey);
    const stop = new AbortController();
    const reason = new Error('enough');
    const broken = async () => {
      for await (const _ of chat.ask('a cat', { maxNewTokens: 30, minNewTokens: 30, signal: stop.signal })) {
        stop.abort(reason);
      }
    };
    await expect(broken()).rejects.toBe(reason);
    expect(chat.turns).toEqual([]);
  });

  it('leaves out the oldest turns where the positions run out', async () => {
    const chat = model.chat(grey);
    const { config, language } = model.files;
    const maxNewTokens = 6;
    const room = language!.lm.maxPositions! - config.num_query_tokens - (maxNewTokens - 1);
    const tokens = (prompt: string) => language!.tokenizer.encode(prompt).length;
    let left = 0;
    for (let i = 0; i < 6; i++) {
      const question = `a ${'red cat '.repeat(i)}dog`;
      const { turns } = chat;
      const fitting = turns.findIndex((_, first) => tokens(chatPrompt(turns.slice(first), question)) <= room);
      const kept = fitting < 0 ? [] : turns.slice(fitting);
      left = Math.max(left, turns.length - kept.length);
      const { text } = await model.answer(grey, chatPrompt(kept, question), { raw: true, maxNewTokens });
      expect(await collect(chat.ask(question, { maxNewTokens }))).toBe(text);
    }
    expect(left).toBeGreaterThan(1);
    expect(chat.turns).toHaveLength(6);
    await expect(collect(chat.ask('a '.repeat(room)))).rejects.toThrow(/leaves no room/);
  });

  it('needs a language model', async () => {
    const stageOne = await Blip2.fromPretrained(join(folder, 'stage1'));
    expect(() => stageOne.chat(grey)).toThrow(ConfigError);
  });
});
