import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { floatToBfloat } from '../../src/core/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';
import { goldenDir, goldenPath } from './fixtures.ts';

const files = await readdir(goldenDir, { recursive: true });
const sharded = files
  .filter((file) => file.endsWith('.index.json'))
  .map((file) => ({ file, original: file.slice(0, file.indexOf('-sharded')) }));

describe('checkpoints written by safetensors', () => {
  it('are all readable, to the last tensor', async () => {
    const paths = files.filter((file) => file.endsWith('.safetensors'));
    expect(paths.length).toBeGreaterThan(0);
    for (const path of paths) {
      const checkpoint = await Checkpoint.open(join(goldenDir, path));
      const tensors = await checkpoint.readAll();
      expect(Object.keys(tensors)).toEqual([...checkpoint.entries.keys()]);
    }
  });

  it.each(sharded)('$file is $original rounded to bfloat16, in shards', async ({ file, original }) => {
    const shards = await Checkpoint.open(join(goldenDir, file, '..'));
    const whole = await Checkpoint.open(goldenPath(original));
    expect([...shards.entries.keys()].sort()).toEqual([...whole.entries.keys()].sort());
    for (const name of whole.entries.keys()) {
      const { dtype, shape, data } = await shards.read(name);
      expect([dtype, shape], name).toEqual(['bfloat16', whole.entry(name).shape]);
      expect(data, name).toEqual(floatToBfloat(await whole.readFloat32(name)));
    }
  });
});
