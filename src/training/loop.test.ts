import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DataError, floats } from '../core/index.ts';
import { Checkpoint } from '../hub/index.ts';
import { trainLoop } from './loop.ts';
import { Optimiser } from './optimiser.ts';
import { RunFolder } from './run-folder.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'blip2-loop-'));
});
afterAll(() => rm(root, { recursive: true }));

/** Three steps of one parameter in a folder of their own; `gradients` gives the loss and the parameter's gradient. */
async function start(
  name: string,
  gradients: (step: number) => { loss: number; gradient: number },
  { resume = false, clipNorm }: { resume?: boolean; clipNorm?: number | undefined } = {},
) {
  const path = join(root, name);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'recipe.yaml'), ''); // which the report shows
  const optimiser = new Optimiser(new Map([['w', floats([1], [0])]]), { clipNorm });
  const finished = trainLoop({
    folder: new RunFolder(path, { keep: 2 }),
    resume,
    optimiser,
    schedule: () => 0.1,
    maxSteps: 3,
    logEvery: 100,
    saveEvery: 1,
    async gradients(step) {
      const { loss, gradient } = gradients(step);
      optimiser.gradientsOf(['w']).w!.data[0] = gradient;
      return { scalars: { loss }, images: 1, batch: 'cats, dogs' };
    },
  });
  return { finished, optimiser, path };
}

it.each([
  { name: 'loss', loss: Number.NaN, gradient: -1 },
  { name: 'gradient', loss: 1, gradient: Number.NaN },
  { name: 'infinite gradient', loss: 1, gradient: -Infinity },
  { name: 'infinite gradient, which is clipped', loss: 1, gradient: -Infinity, clipNorm: 1 },
])('names the batch of a $name that is not finite, before anything changes', async ({ name, clipNorm, ...second }) => {
  const first = { loss: 1, gradient: -1 };
  const { finished, optimiser, path } = await start(name, (step) => (step === 1 ? second : first), { clipNorm });
  await expect(finished).rejects.toThrow(DataError);
  await expect(finished).rejects.toThrow(/^step 1: .* is (NaN|Infinity); the batch was cats, dogs$/);
  expect(await readdir(join(path, 'checkpoints'))).toEqual(['step-00000001.safetensors']);
  expect(optimiser.steps).toBe(1);
  const saved = await Checkpoint.open(join(path, 'checkpoints/step-00000001.safetensors'));
  expect(optimiser.state).toEqual(await saved.readAll());
});

it('begins with the starting values unless it resumes, whatever checkpoints there are', async () => {
  const seen: number[] = [];
  const gradients = (step: number) => {
    seen.push(step);
    return { loss: 1, gradient: -1 };
  };
  for (const resume of [false, false, true]) await (await start('again', gradients, { resume })).finished;
  expect(seen).toEqual([0, 1, 2, 0, 1, 2]);
});
