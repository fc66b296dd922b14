import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { floats } from '../core/index.ts';
import { HeldOut } from './held-out.ts';
import { trainLoop } from './loop.ts';
import { Optimiser } from './optimiser.ts';
import { RunFolder } from './run-folder.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'blip2-held-out-'));
});
afterAll(() => rm(root, { recursive: true }));

const killed = new Error('killed');

/** A run of one parameter that grows by about 0.1 a step; the loss after each evaluation is given. */
async function run(
  name: string,
  o: {
    losses: readonly number[];
    patience?: number;
    abortAfter?: number;
    abortIn?: number;
    dieIn?: number;
    metric?: string;
    ema?: number;
  },
) {
  const folder = new RunFolder(join(root, name), { keep: 2 });
  await mkdir(join(root, name, 'checkpoints'), { recursive: true });
  await writeFile(join(root, name, 'recipe.yaml'), ''); // which the report shows
  const optimiser = new Optimiser(new Map([['w', floats([1], [0])]]), { weightDecay: 0, ema: o.ema });
  const stop = new AbortController();
  const metric = o.metric ?? 'loss';
  const logged = () => folder.logged(`eval_${metric}`);
  const evaluate = async () => {
    if (logged().length === o.dieIn) throw killed;
    if (logged().length === o.abortIn) stop.abort();
    stop.signal.throwIfAborted();
    return { loss: 0, [metric]: o.losses[logged().length]! };
  };
  const finished = await trainLoop({
    folder,
    resume: true,
    optimiser,
    schedule: () => 0.1,
    maxSteps: 2 * o.losses.length,
    logEvery: 100,
    saveEvery: 3,
    async gradients(step) {
      if (step === o.abortAfter) stop.abort();
      optimiser.gradientsOf(['w']).w!.data[0] = -1;
      return { scalars: { loss: 1 }, images: 1, batch: '' };
    },
    heldOut: new HeldOut(folder, optimiser, { every: 2, patience: o.patience, metric, evaluate }),
    signal: stop.signal,
  });
  return { finished, w: optimiser.averages.w!.data[0]!, steps: optimiser.steps, logged: logged() };
}

const losses = [3, 1, 2, 1, 0];

it('stops when patience runs out, and goes back to the parameters of the lowest loss', async () => {
  const { finished, w, steps, logged } = await run('stops', { losses, patience: 2 });
  expect(finished).toBe(true);
  expect(logged).toEqual([3, 1, 2, 1]); // as low is not lower
  expect(steps).toBe(8);
  expect(w).toBeCloseTo(0.4, 5); // after four steps
});

it('stops a resumed run where an uninterrupted one does, and a stopped one at once', async () => {
  const whole = await run('stops', { losses, patience: 2 });
  expect(await run('broken', { losses, patience: 2, abortAfter: 4 })).toMatchObject({ finished: false });
  expect(await run('broken', { losses, patience: 2 })).toEqual(whole);
  expect(await run('broken', { losses, patience: 2 })).toEqual(whole);
});

it('makes an evaluation that was interrupted when the run goes on, and logs its step once', async () => {
  const whole = await run('stops', { losses, patience: 2 });
  for (const abortIn of [0, 0, 1]) {
    expect(await run('aborted', { losses, patience: 2, abortIn })).toMatchObject({ finished: false });
  }
  await expect(run('aborted', { losses, patience: 2, dieIn: 2 })).rejects.toBe(killed);
  expect(await run('aborted', { losses, patience: 2 })).toEqual(whole);
  const metrics = (name: string) => readFile(join(root, name, 'metrics.jsonl'), 'utf8');
  expect(await metrics('aborted')).toBe(await metrics('stops'));
});

it('watches a metric, the higher the better', async () => {
  const { w, steps, logged } = await run('metric', { losses: [0, 40, 10, 40, 50], patience: 2, metric: 'CIDEr' });
  expect(logged).toEqual([0, 40, 10, 40]);
  expect(steps).toBe(8);
  expect(w).toBeCloseTo(0.4, 5);
});

it('goes back to the average that was best', async () => {
  const { w } = await run('average', { losses, patience: 2, ema: 0.999 });
  let expected = 0;
  for (let step = 1; step <= 4; step++) expected += (1 - (1 + step) / (10 + step)) * (0.1 * step - expected);
  expect(w).toBeCloseTo(expected, 5);
  expect(await run('average', { losses, patience: 2, ema: 0.999 })).toMatchObject({ w });
});

it('goes on to the end without patience, with the last parameters', async () => {
  const { w, logged } = await run('patient', { losses });
  expect(logged).toEqual(losses);
  expect(w).toBeCloseTo(1, 5);
});
