import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../../test/random-model.ts';
import { nouns, writeSmallCutouts } from '../../../test/small-cutouts.ts';
import { toNumbers } from '../../core/index.ts';
import { readCutouts, type Scene, scoredScenes, swapCaption } from '../../data/index.ts';
import { Blip2 } from '../../pipelines/index.ts';
import { evaluateModel } from '../evaluate.ts';
import { evenly } from './benchmark.ts';
import { type EvaluationRecipe, evaluationRecipe, type Progress, Subject } from './index.ts';
import { scoreSceneCaptions } from './scenes.ts';

let folder: string;
let scenes: Scene[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-evaluation-'));
  await writeRandomModel(join(folder, 'model'));
  await writeSmallCutouts(folder);
  scenes = scoredScenes(await readCutouts(folder));
});
afterAll(() => rm(folder, { recursive: true }));

const recipe = (benchmark: string, { data = {}, run = {} } = {}): EvaluationRecipe =>
  evaluationRecipe.parse({
    task: 'evaluate',
    benchmark,
    model: join(folder, 'model'),
    data: { path: folder, feature_cache: join(folder, 'features'), ...data },
    run: { batch_size_eval: 4, ...run },
  });

describe('cutouts', () => {
  it('measures the subsets that the data has, and finds training pictures again by their nearest neighbour', async () => {
    const train = [{ type: 'cutouts', path: folder, split: 'train' }];
    const { metrics, predictions } = await evaluateModel(recipe('cutouts', { data: { train }, run: { k_test: 2 } }));
    expect(Object.keys(metrics)).toEqual(['style', 'clip_art']);
    const { nearest_neighbour, itc, itm, itc_itm, captions } = metrics.clip_art as Record<string, object>;
    expect(nearest_neighbour).toMatchObject({ exact_match: 100, noun_match: 100 });
    expect(Object.keys(captions!)).toEqual(Object.keys(nearest_neighbour!));
    for (const recall of [itc, itm, itc_itm]) expect(recall).toMatchObject({ txt_r10: expect.any(Number) });
    expect(itc).toMatchObject({ txt_r10: 100, img_r10: 100 }); // of six candidates
    expect(predictions).toHaveLength(12);
    expect(predictions.slice(6).map(({ nearest }) => nearest)).toEqual(nouns.map((noun) => `a ${noun}`));
  });

  it('gives the same again from the features that it has kept, without encoding a picture', async () => {
    const parts: string[] = [];
    const onProgress = ({ part }: Progress) => parts.push(part);
    const first = await evaluateModel(recipe('cutouts', { run: { limit: 3 } }));
    const again = await evaluateModel(recipe('cutouts', { run: { limit: 3 } }), { onProgress });
    expect(again).toEqual(first);
    expect(parts.filter((part) => part.includes('encoding'))).toEqual([]);
    expect(parts).toContain('style: writing captions');
  });

  it('writes of several views of each picture, and compares the pictures as they are', async () => {
    const [one, several] = await Promise.all(
      [1, 3].map((views) => evaluateModel(recipe('cutouts', { run: { subsets: ['style'], views } }))),
    );
    const { captions: _, ...compared } = one!.metrics.style as Record<string, object>;
    expect(several!.metrics.style).toMatchObject(compared);
    const model = await Blip2.fromPretrained(join(folder, 'model'));
    const written = await model.caption(
      several!.predictions.map(({ image }) => image),
      { views: 3 },
    );
    await model.release();
    expect(several!.predictions.map(({ caption }) => caption)).toEqual(written.map(({ text }) => text));
  });

  it('stops where it is told to', async () => {
    const controller = new AbortController();
    const evaluated = evaluateModel(recipe('cutouts'), {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(evaluated).rejects.toThrow(controller.signal.reason);
  });
});

describe('scenes', () => {
  it('measures captions and swapped captions', async () => {
    const { metrics, predictions } = await evaluateModel(recipe('scenes', { run: { limit: 10 } }));
    const related = evenly(scenes, 10).filter((scene) => swapCaption(scene) !== undefined).length;
    expect(metrics).toMatchObject({
      scenes: 10,
      captions: { strict: { all_named: { n: 10 } }, lenient: { all_named: { n: 10 } } },
      swapped: { itm_right: { n: related }, itc_right: { n: related } },
    });
    expect(predictions.map(({ references }) => references)).toEqual(evenly(scenes, 10).map((s) => s.captions));
  });

  it('finds everything right in true captions, and every relation wrong in swapped ones', () => {
    const related = scenes.filter((scene) => swapCaption(scene) !== undefined).slice(0, 200);
    const all = { percent: 100, high: 100, n: related.length };
    const none = { percent: 0, low: 0, n: related.length };
    const truth = scoreSceneCaptions(
      related,
      related.map(({ caption }) => caption),
    );
    expect(truth).toMatchObject({ strict: { all_named: all, relation_right: all } });
    const swapped = scoreSceneCaptions(
      related,
      related.map((scene) => swapCaption(scene)!),
    );
    expect(swapped).toMatchObject({ strict: { all_named: all, relation_right: none } });
  });
});

describe('the subject', () => {
  it('says in batches what the model says of each picture and text', async () => {
    const model = await Blip2.fromPretrained(join(folder, 'model'));
    const subject = await Subject.open(model, { featureCache: join(folder, 'features-of-some'), batchSize: 2 });
    const files = nouns.slice(0, 3).map((_, i) => join(folder, `images/style-${i}.png`));
    const records = files.map((path) => ({
      id: path,
      imageId: path,
      image: { kind: 'file', path } as const,
      captions: [],
    }));
    const texts = ['a red cat', 'an apple on the left of a blue dog', 'a cat'];
    const pairs = files.flatMap((_, image) => texts.map((_, text) => ({ image, text })));

    const { pictures } = await subject.pictures(records, '');
    const cosines = toNumbers(await subject.cosines(pictures, texts, ''));
    const matched = await subject.matchPairs(pictures, texts, { pairs, part: '' });
    const expected = (await Promise.all(files.map((file) => model.match(file, texts)))).flat();
    // The features that are kept are float16.
    expect(cosines).toEqual(expected.map(({ itc }) => expect.closeTo(itc, 2)));
    expect(matched.map(({ probability }) => probability)).toEqual(expected.map(({ itm }) => expect.closeTo(itm, 2)));
    expect(new Set(cosines.map((cosine) => cosine.toFixed(2))).size).toBeGreaterThan(3);
    subject.close();
    await model.release();
  });
});

it('takes items evenly from a list', () => {
  expect(evenly([0, 1, 2, 3, 4, 5, 6], 3)).toEqual([0, 2, 4]);
  expect(evenly([0, 1], 5)).toEqual([0, 1]);
  expect(evenly([0, 1])).toEqual([0, 1]);
});
