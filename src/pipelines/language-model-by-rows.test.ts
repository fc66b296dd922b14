import { expect, it } from 'vitest';
import { int64s, value } from '../core/index.ts';
import type { CompiledLanguageModel } from '../generation/index.ts';
import { LanguageModelByRows } from './language-model-by-rows.ts';

/** Notes what is done with it. */
const noting = (name: string, notes: string[]): CompiledLanguageModel => ({
  prefill: async () => {
    notes.push(`${name} reads`);
    return { rows: 1, scores: () => new Float32Array(), step: async () => {} };
  },
  release: async () => {
    notes.push(`${name} is released`);
  },
});

it('is compiled anew for the first rows that are many, and when it is needed only', async () => {
  const notes: string[] = [];
  const compile = (name: string) => async () => {
    notes.push(`${name} is compiled`);
    return noting(name, notes);
  };
  const model = new LanguageModelByRows({ few: compile('few'), many: compile('many'), manyFrom: 4 });
  const read = (rows: number, copies: number) => {
    const ids = int64s([rows, 2], new Array<number>(rows * 2).fill(1));
    const attentionMask = value('int64', ids.shape, new BigInt64Array(rows * 2).fill(1n));
    return model.prefill({ inputIds: ids, attentionMask }, { copies });
  };
  await model.prepare(2);
  expect(notes).toEqual(['few is compiled']);
  await read(1, 1);
  await read(1, 3);
  expect(notes).toEqual(['few is compiled', 'few reads', 'few reads']);
  notes.length = 0;
  await read(1, 5);
  await read(8, 1);
  await read(1, 1);
  expect(notes).toEqual(['many is compiled', 'many reads', 'many reads', 'many reads']);
  notes.length = 0;
  await model.release();
  expect(notes).toEqual(['few is released', 'many is released']);
});

it('is compiled again where that failed, and is released whatever failed', async () => {
  const notes: string[] = [];
  let free = false;
  const model = new LanguageModelByRows({
    few: async () => noting('few', notes),
    many: async () => {
      if (!free) throw new Error('out of memory');
      return noting('many', notes);
    },
    manyFrom: 4,
  });
  const read = (rows: number) => {
    const ids = int64s([rows, 1], new Array<number>(rows).fill(1));
    return model.prefill({ inputIds: ids, attentionMask: ids }, { copies: 1 });
  };
  await read(1);
  await expect(read(4)).rejects.toThrow('out of memory');
  await read(1);
  free = true;
  await read(4);
  await model.release();
  expect(notes).toEqual(['few reads', 'few reads', 'many reads', 'few is released', 'many is released']);
});
