import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { DataError } from '../core/index.ts';
import { readElements, readJson, readJsonLines } from './json-lines.ts';

let file: string;
beforeEach(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'blip2-json-')), 'rows.json');
});
afterEach(() => rm(join(file, '..'), { recursive: true }));

async function elementsOf(path: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { key, value } of readElements(path)) found[key] = value;
  return found;
}

/** Long texts, so that lines and characters of several bytes lie across the pieces that a file is read in. */
const texts = fc
  .array(fc.string({ unit: 'binary' }), { maxLength: 20 })
  .chain((list) => fc.nat(3000).map((times) => list.map((text) => text.repeat(times))));

it('reads lines and elements as they were written, whatever is in them', async () => {
  await fc.assert(
    fc.asyncProperty(texts, fc.constantFrom('\n', '\r\n', '\n\n'), fc.boolean(), async (rows, end, last) => {
      await writeFile(file, rows.map((row) => JSON.stringify(row)).join(end) + (last ? end : ''));
      const lines = await readJsonLines(file, z.string());
      expect(lines.map(({ row }) => row)).toEqual(rows);
      const step = end === '\n\n' ? 2 : 1;
      expect(lines.map(({ where }) => where)).toEqual(rows.map((_, i) => `${file}:${1 + step * i}`));
      await writeFile(file, JSON.stringify(rows));
      expect(await elementsOf(file)).toEqual(rows);
    }),
    { numRuns: 30 },
  );
});

it('says which file is too long to be read at once', async () => {
  await writeFile(file, '');
  await truncate(file, 3 * 2 ** 30); // a hole, which takes no room
  await expect(readJson(file, z.string())).rejects.toThrow(/rows\.json: expected at most \d+ characters/);
  await expect(readJson(file, z.string())).rejects.toThrow(DataError);
});

it.each([
  ['{"1": 2}', /rows\.json: expected a JSON array, but Top-level object/],
  ['[1, 2', /rows\.json: expected a JSON array, but /],
  [undefined, /rows\.json: expected a file, but there is none/],
])('names a file of elements that is %j', async (content, message) => {
  if (content !== undefined) await writeFile(file, content);
  await expect(elementsOf(file)).rejects.toThrow(message);
  await expect(elementsOf(file)).rejects.toThrow(DataError);
});
