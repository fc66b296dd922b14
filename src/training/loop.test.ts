import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DataError, floats } from '../core/index.ts';
import { trainLoop } from './loop.ts';
import { Optimiser } from './optimiser.ts';
import { RunFolder } from './run-folder.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'blip2-loop-'));
});
afterAll(() => rm(root, { recursive: true }));

it.each([
  { name: 'loss', loss: Number.NaN, gradient: -1 },
  { name: 'gradient', loss: 1, gradient: Number.NaN },
  { name: 'infinite-gradient', loss: 1, gradient: -Infinity },
  { name: 'clipped-gradient', loss: 1, gradient: -Infinity, clipNorm: 1 },
])('names the batch whose $name is not finite, before anything changes', async ({ name, loss, gradient, clipNorm }) => {
  const path = join(root, name);
  await mkdir(path);
  await writeFile(join(path, 'recipe.yaml'), ''); // which the report shows
  const optimiser = new Optimiser(new Map([['w', floats([1], [0])]]), { clipNorm });
  const stateAt: unknown[] = [];
  const run = trainLoop({
    folder: new RunFolder(path, { keep: 2 }),
    optimiser,
    schedule: () => 0.1,
    maxSteps: 3,
    logEvery: 100,
    saveEvery: 1,
    async gradients(step) {
      stateAt.push(structuredClone(optimiser.state));
      optimiser.gradients.w!.data[0] = step === 1 ? gradient : -1;
      return { scalars: { loss: step === 1 ? loss : 1 }, images: 1, batch: 'cats, dogs' };
    },
  });
  await expect(run).rejects.toThrow(DataError);
  await expect(run).rejects.toThrow(/^step 1: .* is (NaN|Infinity); the batch was cats, dogs$/);
  expect(optimiser.state).toEqual(stateAt[1]);
  expect(optimiser.steps).toBe(1);
  expect(await readdir(join(path, 'checkpoints'))).toEqual(['step-00000001.safetensors']);
});
