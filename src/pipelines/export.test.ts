import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { toFloat32, UsageError } from '../core/index.ts';
import { Blip2, exportModel } from './index.ts';

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-export-'));
  await writeRandomModel(at('model'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(
  model: string,
  text: string,
): Promise<{ ids: readonly number[]; unknown: number; numbers: number[] }> {
  const loaded = await Blip2.fromPretrained(model);
  const tokenizer = loaded.files.tokenizer!;
  const { text_embeds_proj: numbers } = await loaded.embed({ texts: [text] });
  await loaded.release();
  return { ids: tokenizer.encode(text), unknown: tokenizer.require('unk'), numbers: [...toFloat32(numbers!)] };
}

it('leaves a compact model the commonest words, which it reads as before', async () => {
  await exportModel(at('model'), at('whole'), { compact: true });
  // Special tokens, letters and three words more: cat, dog, red.
  await exportModel(at('model'), at('fewer'), { compact: true, words: 12 });
  const [before, after] = [await read(at('whole'), 'a red dog'), await read(at('fewer'), 'a red dog')];
  expect(after.ids).not.toContain(after.unknown);
  expect(after.numbers).toEqual(before.numbers);
  const [known, gone] = [await read(at('whole'), 'a blue dog'), await read(at('fewer'), 'a blue dog')];
  expect(known.ids).not.toContain(known.unknown);
  expect(gone.ids).toContain(gone.unknown);
});

it('takes words from what is compact already', async () => {
  await exportModel(at('model'), at('once'), { compact: true });
  await exportModel(at('once'), at('twice'), { compact: true, words: 12 });
  expect((await read(at('twice'), 'a cat')).numbers).toEqual((await read(at('once'), 'a cat')).numbers);
});

it("refuses to leave out a language model's words", async () => {
  await writeRandomModel(at('language'), { language: true });
  const exported = exportModel(at('language'), at('none'), { compact: true, words: 12 });
  await expect(exported).rejects.toThrow(UsageError);
  await expect(exported).rejects.toThrow(/language: its words are those of its language model/);
  await expect(exportModel(at('model'), at('none'), { words: 12 })).rejects.toThrow(UsageError);
});
