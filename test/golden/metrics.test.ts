/** The metrics against the official scorers' numbers: pycocoevalcap, LAVIS's VQA and retrieval evaluation. */
import { describe, expect, it } from 'vitest';
import {
  type CaptionSample,
  captionMetrics,
  normaliseAnswer,
  ptbTokenize,
  retrievalRanks,
  retrievalRecall,
  scoreCaptions,
  stripPunctuation,
  tokenizeSamples,
  vqaAccuracy,
} from '../../src/evaluation/metrics/index.ts';
import { absoluteError, readFixture, readJson, take } from './fixtures.ts';

const captionScoreNames = ['CIDEr', 'Bleu_1', 'Bleu_2', 'Bleu_3', 'Bleu_4', 'ROUGE_L'] as const;
type ScoreName = (typeof captionScoreNames)[number];

interface CaptionFixture {
  corpus: Record<string, number>;
  images: (CaptionSample & { candidate_tokenized: string; references_tokenized: string[] } & Record<
      ScoreName,
      number
    >)[];
  tokenizer_cases: { text: string; tokenized: string }[];
}

describe('captions', async () => {
  const fixture = await readJson<CaptionFixture>('metrics/captions.json');
  const officialTokens = fixture.images.map((image) => ({
    candidate: image.candidate_tokenized,
    references: image.references_tokenized,
  }));

  it.each(fixture.tokenizer_cases)('tokenises $text', ({ text, tokenized }) => {
    expect(ptbTokenize([text])).toEqual([tokenized]);
  });

  it('have the tokens of the official tokenizer', () => {
    expect(tokenizeSamples(fixture.images)).toEqual(officialTokens);
  });

  it.each(captionScoreNames)('%s is the official one, of the set and of every image', (name) => {
    const { corpus, perSample } = scoreCaptions(fixture.images);
    expect(absoluteError(corpus[name]!, fixture.corpus[name]!)).toBeLessThan(1e-9);
    const official = fixture.images.map((image) => image[name]);
    expect(absoluteError(perSample[name]!, official)).toBeLessThan(1e-9);
  });

  it('score the same from the official tokens', () => {
    for (const metric of Object.values(captionMetrics).filter(({ reads }) => reads === 'tokens')) {
      for (const [name, score] of Object.entries(metric.score(officialTokens).corpus)) {
        expect(absoluteError(score, fixture.corpus[name]!)).toBeLessThan(1e-9);
      }
    }
  });
});

interface VqaFixture {
  lavis: { overall: number; perQuestionType: Record<string, number>; perAnswerType: Record<string, number> };
  official_overall: number;
  cases: {
    question_type: string;
    answer_type: string;
    answer: string;
    gts: string[];
    after_punctuation: string;
    normalised: string;
    ground_truths_fully_normalised: string[];
    ground_truths_after_punctuation: string[];
    accuracy: number;
    accuracy_official: number;
  }[];
}

/** The fixture's percentages are rounded to two decimals. */
const percentTolerance = 0.01;

describe('visual question answering', async () => {
  const { cases, lavis, official_overall } = await readJson<VqaFixture>('metrics/vqa.json');
  const meanOf = (scores: number[]) => scores.reduce((a, b) => a + b, 0) / scores.length;

  it.each(cases)('normalises $answer', (c) => {
    expect(stripPunctuation(c.answer.replaceAll(/[\n\t]/g, ' ').trim())).toBe(c.after_punctuation);
    expect(normaliseAnswer(c.answer)).toBe(c.normalised);
    expect(c.gts.map(normaliseAnswer)).toEqual(c.ground_truths_fully_normalised);
  });

  it('scores every answer as LAVIS and as the official code do', () => {
    for (const c of cases) {
      expect(absoluteError(vqaAccuracy(c.answer, c.gts, 'lavis'), c.accuracy)).toBeLessThan(percentTolerance);
      expect(absoluteError(vqaAccuracy(c.answer, c.gts), c.accuracy_official)).toBeLessThan(percentTolerance);
    }
  });

  it('has their averages: over all questions, per question type and per answer type', () => {
    const averages = (of: (c: VqaFixture['cases'][number]) => string) =>
      Object.fromEntries(
        [...new Set(cases.map(of))].map((type) => [
          type,
          meanOf(cases.filter((c) => of(c) === type).map((c) => vqaAccuracy(c.answer, c.gts, 'lavis'))),
        ]),
      );
    const expectAverages = (ours: Record<string, number>, theirs: Record<string, number>) => {
      expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
      for (const [type, score] of Object.entries(theirs)) {
        expect(absoluteError(ours[type]!, score)).toBeLessThan(percentTolerance);
      }
    };
    expectAverages(
      averages(() => 'overall'),
      { overall: lavis.overall },
    );
    expectAverages(
      averages((c) => c.question_type),
      lavis.perQuestionType,
    );
    expectAverages(
      averages((c) => c.answer_type),
      lavis.perAnswerType,
    );
    const official = meanOf(cases.map((c) => vqaAccuracy(c.answer, c.gts)));
    expect(absoluteError(official, official_overall)).toBeLessThan(percentTolerance);
  });
});

interface RetrievalFixture {
  captions_per_image: number;
  metrics: Record<`${'txt' | 'img'}_r${1 | 5 | 10}` | 'r_mean', number>;
  image_to_text_best_rank: number[];
  text_to_image_rank: number[];
}

describe('retrieval', async () => {
  const fixture = await readJson<RetrievalFixture>('metrics/retrieval.json');
  const tensors = await readFixture('metrics/retrieval_scores.safetensors');
  const scores = {
    imageToText: take(tensors, 'scores_i2t'),
    textToImage: take(tensors, 'scores_t2i'),
    imageOfText: fixture.text_to_image_rank.map((_, text) => Math.floor(text / fixture.captions_per_image)),
  };

  it('has the ranks of the reference', () => {
    const ranks = retrievalRanks(scores);
    expect(ranks.imageToText).toEqual(fixture.image_to_text_best_rank);
    expect(ranks.textToImage).toEqual(fixture.text_to_image_rank);
  });

  it('has its recalls', () => {
    const recall = retrievalRecall(scores);
    const { txt_r1, txt_r5, txt_r10, img_r1, img_r5, img_r10, r_mean } = fixture.metrics;
    expect(recall.imageToText).toEqual({ 1: txt_r1, 5: txt_r5, 10: txt_r10 });
    expect(recall.textToImage).toEqual({ 1: img_r1, 5: img_r5, 10: img_r10 });
    expect(recall.mean).toBeCloseTo(r_mean, 9);
  });
});
