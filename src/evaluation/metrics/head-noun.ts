import { type CaptionMetric, type CaptionScores, mean } from './caption-metric.ts';

const articles = new Set(['a', 'an', 'the']);
/** "A pair of jeans" is about jeans. */
const measure = /^.*?\b(?:drawing|pair|pile|glass|cup|bowl|bunch|cluster|stack|baby) of /;
const phraseEnd = new Set([
  ...['with', 'without', 'of', 'in', 'on', 'at', 'to', 'for', 'from', 'by', 'behind', 'over', 'and', 'or', 'is', 'are'],
  ...['called', 'holding', 'showing', 'facing', 'covered', 'used'],
]);

/**
 * The head noun of a caption of one thing, by the rule behind the data set's `noun` field: the last word of the phrase
 * the caption begins with, which a comma or a preposition ends ("a cat with wry smile" is about a cat). A "smiling face"
 * is about smiling, because so many emoji are faces.
 */
export function headNoun(caption: string): string {
  const [clause = ''] = caption.toLowerCase().replace(measure, '').split(/,| - /);
  const words = clause
    .split(/\s+/)
    .map((word) => word.replaceAll(/^['"]+|['".!?]+$/g, ''))
    .filter((word) => word !== '' && !articles.has(word));
  const end = words.findIndex((word, i) => i > 0 && i < words.length - 1 && phraseEnd.has(word));
  const phrase = end < 0 ? words : words.slice(0, end);
  const [first = '', second] = phrase;
  return phrase.length === 2 && second === 'face' ? first : (phrase.at(-1) ?? '');
}

/** Percent of the captions whose head noun is a reference's, and percent that are a reference word for word. */
export const headNounMatch: CaptionMetric = {
  reads: 'text',
  score(samples): CaptionScores {
    const noun = samples.map(({ candidate, references }) =>
      percentIf(references.some((reference) => headNoun(reference) === headNoun(candidate))),
    );
    const exact = samples.map(({ candidate, references }) =>
      percentIf(references.some((reference) => words(reference) === words(candidate))),
    );
    return {
      corpus: { noun_match: mean(noun), exact_match: mean(exact) },
      perSample: { noun_match: noun, exact_match: exact },
    };
  },
};

const percentIf = (condition: boolean): number => (condition ? 100 : 0);
const words = (caption: string): string => caption.toLowerCase().trim().replaceAll(/\s+/g, ' ');
