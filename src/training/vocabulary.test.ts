import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { ConfigError, floats, toFloat32 } from '../core/index.ts';
import { writeJson, writeSafetensors, writeText } from '../hub/index.ts';
import { wordBias, wordTable } from '../models/index.ts';
import { bertFiles, Tokenizer } from '../text/index.ts';
import { readStageOne } from './pretrained.ts';
import { withPiecesOf } from './vocabulary.ts';

const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'bride', 'cat', 'glove', '##s'];
/** Training texts, of which one uses a piece that the model lacks. */
const records = { length: 1, record: () => ({ ...picture, captions: ['a cat', 'two gloves'] }) };
const picture = { id: '0', imageId: '0', image: { kind: 'file', path: 'x.png' } } as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-vocabulary-'));
  await writeRandomModel(join(folder, 'model'));
  await writeBert('bert', 16);
  await writeBert('wide', 24);
});
afterAll(() => rm(folder, { recursive: true }));

/** A BERT of word embeddings alone: all numbers of row i are i. */
async function writeBert(name: string, width: number): Promise<void> {
  const { tokenizer, config } = bertFiles(pieces);
  await writeText(join(folder, name, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeJson(join(folder, name, 'tokenizer_config.json'), config);
  const table = Float32Array.from({ length: pieces.length * width }, (_, i) => Math.floor(i / width));
  await writeSafetensors(join(folder, name, 'model.safetensors'), [[wordTable, floats([pieces.length, width], table)]]);
}

it('gives a model the words that it lacks, with their embeddings, and leaves its own as they are', async () => {
  const model = await readStageOne(join(folder, 'model'));
  const more = await withPiecesOf(join(folder, 'bert'), model, records);
  const [before, after] = [new Tokenizer(model.files), new Tokenizer(more.files)];
  expect(before.encode('a bride')).toContain(before.require('unk'));
  expect(after.encode('gloves').map((id) => after.piece(id))).toEqual(['[CLS]', 'glove', '##s', '[SEP]']);
  expect(after.encode('a cat')).toEqual(before.encode('a cat'));

  const own = toFloat32(model.trained.get(wordTable)!);
  const table = more.trained.get(wordTable)!;
  expect(table.shape).toEqual([before.vocabularySize + 3, 16]);
  expect(more.config.qformer_config.vocab_size).toBe(before.vocabularySize + 3);
  expect([...toFloat32(table).subarray(0, own.length)]).toEqual([...own]);
  // glove, ##s, which a text uses, and bride.
  const rows = [7, 8, 5].flatMap((row) => Array<number>(16).fill(row));
  expect([...toFloat32(table).subarray(own.length)]).toEqual(rows);

  const bias = toFloat32(more.trained.get(wordBias)!);
  expect(bias).toHaveLength(after.vocabularySize);
  expect([...bias.subarray(before.vocabularySize)]).toEqual(Array(3).fill(Math.min(...bias)));
});

it('leaves a model as it is where no checkpoint is named', async () => {
  const model = await readStageOne(join(folder, 'model'));
  expect(await withPiecesOf(undefined, model, records)).toBe(model);
});

it('refuses embeddings of another width', async () => {
  const wide = withPiecesOf(join(folder, 'wide'), await readStageOne(join(folder, 'model')), records);
  await expect(wide).rejects.toThrow(ConfigError);
  await expect(wide).rejects.toThrow(/wide: expected .*word_embeddings\.weight of width 16, found 24/);
});
