/** Benchmarks on datasets of any kind. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../../test/random-model.ts';
import { nouns, writeSmallCutouts } from '../../../test/small-cutouts.ts';
import { UsageError } from '../../core/index.ts';
import { Blip2 } from '../../pipelines/index.ts';
import { evaluateModel } from '../evaluate.ts';
import { scoreCaptions, vqaAccuracy } from '../metrics/index.ts';
import { evaluationRecipe } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-any-dataset-'));
  await writeRandomModel(join(folder, 'model'), { language: true });
  await writeRandomModel(join(folder, 'stage-1'));
  await writeSmallCutouts(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const file = (i: number) => `images/style-${i}.png`;
async function write(name: string, rows: readonly object[]): Promise<string> {
  await writeFile(join(folder, name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return join(folder, name);
}
interface Given {
  test: object;
  run?: object;
  model?: string;
}
const evaluate = (benchmark: string, { test, run = {}, model = 'model' }: Given) => {
  const data = { test, feature_cache: join(folder, 'features') };
  const given = { task: 'evaluate', benchmark, model: join(folder, model), data, run: { batch_size_eval: 3, ...run } };
  return evaluateModel(evaluationRecipe.parse(given));
};
/** Two captions of each picture, in rows of their own. */
const captionRows = () =>
  [0, 1].flatMap((form) =>
    nouns.map((noun, i) => ({
      image: file(i),
      image_id: 100 + i,
      caption: form === 0 ? `A ${noun}.` : `the ${noun} of a`,
    })),
  );

describe('captions', () => {
  it("scores what is written against all of a picture's captions, and submits it in COCO's format", async () => {
    const test = { type: 'jsonl', path: await write('captions.jsonl', captionRows()) };
    const run = { num_beams: 2, max_len: 6, prompt: 'a' };
    const { metrics, predictions, submission } = await evaluate('captions', { test, run });
    expect(predictions.map(({ references }) => references)).toEqual(nouns.map((n) => [`A ${n}.`, `the ${n} of a`]));
    const model = await Blip2.fromPretrained(join(folder, 'model'));
    const alone = await model.caption([join(folder, file(4))], {
      numBeams: 2,
      maxNewTokens: 6,
      minNewTokens: 1,
      prompt: 'a',
    });
    expect(predictions[4]!.caption).toBe(alone[0]!.text);
    expect(submission).toEqual(predictions.map(({ caption }, i) => ({ image_id: 100 + i, caption })));

    const { corpus, perSample } = scoreCaptions(
      predictions.map(({ caption, references }) => ({ candidate: caption!, references })),
    );
    const { CIDEr, Bleu_1, Bleu_4, ROUGE_L } = metrics.captions as Record<string, number>;
    const expected = [corpus.CIDEr, corpus.Bleu_1, corpus.Bleu_4, corpus.ROUGE_L].map((score) => 100 * score!);
    expect([CIDEr, Bleu_1, Bleu_4, ROUGE_L]).toEqual(expected);
    expect(predictions.map(({ scores }) => scores!.ROUGE_L)).toEqual(perSample.ROUGE_L!.map((score) => 100 * score));

    const meanOver = async (imageOf: (image: string) => string) => {
      const each = captionRows().map(({ image, caption }) =>
        model.captionLogProbabilities([join(folder, imageOf(image))], [caption.toLowerCase().replace('.', '')], {
          prompt: 'a',
        }),
      );
      const tokens = (await Promise.all(each)).flat(2);
      return tokens.reduce((sum, x) => sum + x, 0) / tokens.length;
    };
    const mean = await meanOver((image) => image);
    const files = [...new Set(captionRows().map(({ image }) => image))];
    const shuffled = await meanOver((image) => files[(files.indexOf(image) + files.length / 2) % files.length]!);
    const references = metrics.references as { shuffled_costs_per_caption: Record<string, number> };
    expect(references).toEqual({
      log_likelihood: expect.closeTo(mean, 2), // features are kept as float16
      perplexity: expect.closeTo(Math.exp(-mean), 1),
      shuffled_log_likelihood: expect.closeTo(shuffled, 2),
      shuffled_costs_per_caption: expect.any(Object),
    });
    const { nats, low, high } = references.shuffled_costs_per_caption;
    expect(low).toBeLessThanOrEqual(nats!);
    expect(high).toBeGreaterThanOrEqual(nats!);
    await model.release();
  });
});

it('a model is given the words that its fine-tuning taught it, unless a recipe has others', async () => {
  await writeRandomModel(join(folder, 'tuned'), { language: true });
  const config = join(folder, 'tuned/config.json');
  const json = JSON.parse(await readFile(config, 'utf8'));
  await writeFile(config, JSON.stringify({ ...json, caption_prompt: 'a', question_prompt: 'of the {} a' }));
  const captions = { type: 'jsonl', path: await write('captions.jsonl', captionRows()) };
  const asked = nouns.map((noun, i) => ({ image: file(i), question: `What is it, ${noun}?`, answers: [noun] }));
  const questions = { type: 'jsonl', path: await write('asked.jsonl', asked) };
  const run = { num_beams: 1, max_len: 4 };
  for (const [benchmark, test, prompt] of [
    ['captions', captions, 'a'],
    ['vqa', questions, 'of the {} a'],
  ] as const) {
    const told = await evaluate(benchmark, { test, run: { ...run, prompt } });
    expect(await evaluate(benchmark, { test, run, model: 'tuned' })).toEqual(told);
    expect(await evaluate(benchmark, { test, run })).not.toEqual(told);
  }
});

describe('retrieval', () => {
  it('knows all captions of a picture, with re-ranking and without', async () => {
    const test = { type: 'jsonl', path: await write('captions.jsonl', captionRows()) };
    const { metrics } = await evaluate('retrieval', { test, run: { k_test: 12 } });
    expect(metrics).toMatchObject({ images: 6, texts: 12 });
    for (const ranking of ['itc', 'itm', 'itc_itm']) {
      // Of six pictures every one is among the first ten; of twelve captions there are two, so one is.
      expect(metrics[ranking]).toMatchObject({ img_r10: 100, txt_r1: expect.any(Number) });
    }
    const weighed = await evaluate('retrieval', { test, run: { k_test: 12, itc_weight: 1e4 } });
    const nothing = { percent: 0, low: 0, high: 0 };
    // A cosine that outweighs every logit.
    expect(weighed.metrics).toEqual({ ...metrics, itc_itm: metrics.itc, itc_itm_gain: nothing });
    const { itc, itc_itm, itc_itm_gain } = metrics as Record<string, Record<string, number>>;
    const firsts = (recall: Record<string, number>) => (6 * recall.txt_r1! + 12 * recall.img_r1!) / 18;
    expect(itc_itm_gain!.percent).toBeCloseTo(firsts(itc_itm!) - firsts(itc!));
    const alone = await evaluate('retrieval', { test, run: { k_test: 0 } });
    expect(alone.metrics).toEqual({ images: 6, texts: 12, itc: metrics.itc });
  });
});

describe('vqa', () => {
  const answers = ['a cat', 'a dog', 'red', 'blue', 'apple'];
  const rows = () =>
    nouns.map((noun, i) => ({
      ...{ image: file(i % 3), image_id: i % 3, question: `What is it, ${noun}?`, question_id: 1000 + i },
      answers: [...Array(9).fill(noun.split(' ')[1]), answers[i % 5]],
    }));
  const test = async () => ({ type: 'jsonl', path: await write('questions.jsonl', rows()) });

  it('answers by writing, in the template of the recipe, and submits the answers', async () => {
    const run = { num_beams: 1, max_len: 4, prompt: 'of the {} a' };
    const { metrics, predictions, submission } = await evaluate('vqa', { test: await test(), run });
    const model = await Blip2.fromPretrained(join(folder, 'model'));
    const alone = await model.answer(join(folder, file(1)), 'of the what is it, red apple? a', {
      ...{ raw: true, maxNewTokens: 4, minNewTokens: 1 },
    });
    expect(predictions[4]).toMatchObject({ question: 'What is it, red apple?', answer: alone.text });
    await model.release();
    const scores = predictions.map(({ answer, references }) => vqaAccuracy(answer!, references));
    expect(predictions.map(({ scores: own }) => own!.accuracy)).toEqual(scores);
    expect(metrics).toEqual({
      questions: 6,
      accuracy: { overall: expect.closeTo(scores.reduce((a, b) => a + b) / 6) },
    });
    expect(submission).toEqual(predictions.map(({ answer }, i) => ({ question_id: 1000 + i, answer })));
  });

  it('answers by ranking a list, whatever is read at once', async () => {
    await writeFile(join(folder, 'answers.json'), JSON.stringify(answers));
    const run = { inference_method: 'rank', answer_list: join(folder, 'answers.json') };
    const { predictions } = await evaluate('vqa', { test: await test(), run: { ...run, batch_size_eval: 2 } });
    const again = await evaluate('vqa', { test: await test(), run: { ...run, batch_size_eval: 8 } });
    expect(again.predictions).toEqual(predictions);
    const model = await Blip2.fromPretrained(join(folder, 'model'));
    const prompt = 'Question: what is it, red cat? Short answer:';
    const { text } = await model.answer(join(folder, file(0)), prompt, { raw: true, candidates: answers });
    expect(predictions[0]!.answer).toBe(text);
    await model.release();
  });

  it('tells accuracy apart by kinds, and compares with a single answer exactly', async () => {
    const scenes = { type: 'scenes', path: folder, split: 'heldout_style', n: 4, size: 28 };
    const { metrics } = await evaluate('vqa', { test: scenes, run: { rule: 'exact', max_len: 2, limit: 12 } });
    expect(metrics.questions).toBe(12);
    expect(Object.keys(metrics.accuracy!)).toEqual(expect.arrayContaining(['overall', 'is there', 'what']));
    await expect(evaluate('vqa', { test: scenes, run: { rule: 'official', limit: 2, max_len: 1 } })).rejects.toThrow(
      /run\.rule: official wants several people's answers, .* use exact/,
    );
  });

  it.each([
    [{ run: { inference_method: 'rank' } }, /run\.answer_list: expected a JSON list/],
    [{ model: 'stage-1' }, /stage-1: expected a model with a language model/],
  ])('refuses %j', async (given, message) => {
    const failed = expect(evaluate('vqa', { test: await test(), ...given })).rejects;
    await failed.toThrow(message);
    await failed.toThrow(UsageError);
  });

  it('wants a place for the question in its template', () => {
    const given = {
      task: 'evaluate',
      benchmark: 'vqa',
      model: 'm',
      data: { test: { type: 'gqa', path: '', images: '' } },
    };
    expect(() => evaluationRecipe.parse({ ...given, run: { prompt: 'Question:' } })).toThrow(/prompt/);
  });
});
