import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import {
  CheckpointError,
  isFloat,
  takeRows,
  toFloat32,
  toNumbers,
  UsageError,
  type Value,
  value,
} from '../core/index.ts';
import { Checkpoint, writeSafetensors } from '../hub/index.ts';
import { wordBias, wordTable } from '../models/index.ts';
import { readTokenizerFiles, Tokenizer } from '../text/index.ts';
import { averageModels } from './average.ts';
import { Blip2 } from './blip2.ts';
import { copyText } from './copy-text.ts';
import { readWeight } from './read-weight.ts';

let folder: string;
let first: string;
let mean: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-average-'));
  [first, mean] = [join(folder, 'first'), join(folder, 'mean')];
  await writeRandomModel(first);
});
afterEach(() => rm(folder, { recursive: true }));

const times = (v: Value, factor: number): Value =>
  isFloat(v.dtype)
    ? value(
        'float32',
        v.shape,
        toFloat32(v).map((x) => x * factor),
      )
    : v;

/** The first model with all floats multiplied. */
async function writeMultiple(name: string, factor: number): Promise<string> {
  const tensors = Object.entries(await (await Checkpoint.open(first)).readAll());
  const path = join(folder, name);
  await copyText(first, path);
  await writeSafetensors(
    join(path, 'model.safetensors'),
    tensors.map(([name, v]): [string, Value] => [name, times(v, factor)]),
  );
  return path;
}

it('is the mean of every float, and a model', async () => {
  await averageModels([first, await writeMultiple('second', 2), await writeMultiple('third', 6)], mean);
  const [of, averaged] = [
    await (await Checkpoint.open(first)).readAll(),
    await (await Checkpoint.open(mean)).readAll(),
  ];
  expect(Object.keys(averaged).sort()).toEqual(Object.keys(of).sort());
  for (const [name, v] of Object.entries(of)) {
    expect(averaged[name]!.shape).toEqual(v.shape);
    const [expected, found] = [toNumbers(times(v, 3)), toNumbers(averaged[name]!)];
    for (const [i, x] of found.entries()) expect(x).toBeCloseTo(expected[i]!, 5);
  }
  const model = await Blip2.fromPretrained(mean);
  expect(await model.caption([{ width: 2, height: 2, channels: 3, data: new Uint8Array(12) }])).toHaveLength(1);
});

it('averages rows of word pieces by piece, over the models that have it', async () => {
  const other = await writeMultiple('other', 3);
  // The other has two of the words in each other's place, and one of them under another name: it lacks that word.
  const file = join(other, 'tokenizer.json');
  const { model, ...tokenizer } = JSON.parse(await readFile(file, 'utf8'));
  const { cat, dog, red, ...vocab }: Record<string, number> = model.vocab;
  await writeFile(
    file,
    JSON.stringify({ ...tokenizer, model: { ...model, vocab: { ...vocab, cat: dog, dog: cat, purple: red } } }),
  );
  expect(await averageModels([first, other], mean)).toEqual({ leftOut: [0, 1] });
  const [of, averaged] = await Promise.all([first, mean].map((path) => Checkpoint.open(path)));
  for (const name of [wordTable, wordBias]) {
    const [a, found] = await Promise.all([of!, averaged!].map((checkpoint) => readWeight(checkpoint, name)));
    const width = a!.length / new Tokenizer(await readTokenizerFiles(first)).vocabularySize;
    const row = (values: Float32Array, id: number) => [...values.slice(id * width, (id + 1) * width)];
    const expected = (id: number, same: number) => row(a!, id).map((x, j) => (x + 3 * row(a!, same)[j]!) / 2);
    const close = (id: number, values: readonly number[]) => {
      for (const [j, x] of row(found!, id).entries()) expect(x).toBeCloseTo(values[j]!, 5);
    };
    close(cat!, expected(cat!, dog!));
    close(dog!, expected(dog!, cat!));
    close(red!, row(a!, red!));
    close(vocab.apple!, expected(vocab.apple!, vocab.apple!));
  }
});

it('reads int8 matrices with their scales', async () => {
  const compact = join(folder, 'compact');
  await writeRandomModel(compact, { quantised: true });
  await averageModels([first, compact], mean);
  const [a, b, averaged] = await Promise.all([first, compact, mean].map((path) => Checkpoint.open(path)));
  expect([...averaged!.entries.keys()].sort()).toEqual([...a!.entries.keys()].sort());
  const name = [...b!.entries].find(([, { dtype }]) => dtype === 'int8')![0];
  const [x, y, found] = await Promise.all([a!, b!, averaged!].map((each) => readWeight(each, name)));
  for (const [i, v] of found!.entries()) expect(v).toBeCloseTo((x![i]! + y![i]!) / 2, 6);
});

it('refuses word tables of two sizes where no tokenizer tells their rows', async () => {
  const [one, other] = [join(folder, 'one'), join(folder, 'other')];
  for (const path of [one, other]) {
    await writeRandomModel(path, { language: true });
    await rm(join(path, 'qformer_tokenizer'), { recursive: true });
  }
  const tensors = await (await Checkpoint.open(other)).readAll();
  const words = tensors[wordTable]!;
  const rows = Array.from({ length: words.shape[0]! - 1 }, (_, row) => row);
  await writeSafetensors(
    join(other, 'model.safetensors'),
    Object.entries({ ...tensors, [wordTable]: takeRows(words, rows) }),
  );
  await expect(averageModels([one, other], mean)).rejects.toThrow(/expected \S+word_embeddings\.weight \[/);
});

it('refuses models of two kinds by the tensor, and one alone', async () => {
  const other = join(folder, 'other');
  await writeRandomModel(other, { language: true });
  await expect(averageModels([first, other], mean)).rejects.toThrow(CheckpointError);
  await expect(averageModels([first, other], mean)).rejects.toThrow(/expected \S+ none as in .*first, found \[/);
  await expect(averageModels([first], mean)).rejects.toThrow(UsageError);
});
