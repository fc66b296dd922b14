import { DataError } from '../../core/index.ts';
import { mean } from './caption-metric.ts';

const punctuation = [...';/[]"{}()=+\\_-><@`,?!'];
const articles = new Set(['a', 'an', 'the']);
const numbers = new Map(
  Object.entries({
    ...{ none: '0', zero: '0', one: '1', two: '2', three: '3', four: '4', five: '5' },
    ...{ six: '6', seven: '7', eight: '8', nine: '9', ten: '10' },
  }),
);

/** Contractions that the official list restores when their only apostrophe is missing. */
const oneApostrophe = `ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd
  how'll how's isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've
  shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're
  there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd where's
  where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've`;

/** Contractions of which it lists chosen spellings; "somebodyd" is its own mistake. */
const chosenSpellings: Readonly<Record<string, string>> = {
  "couldn't've": "couldn'tve couldnt've",
  "hadn't've": "hadnt've hadn'tve",
  "he'd've": "hed've he'dve",
  "it'd've": "itd've it'dve",
  "mightn't've": "mightnt've mightn'tve",
  "'ow's'at": "ow's'at 'ows'at 'ow'sat",
  "she'd've": "shed've she'dve",
  "shouldn't've": "shouldnt've shouldn'tve",
  somebodyd: "somebody'd",
  "somebody'd've": "somebodyd've somebody'dve",
  "someone'd've": "someoned've someone'dve",
  "something'd've": "somethingd've something'dve",
  "there'd've": "thered've there'dve",
  "they'd've": "theyd've they'dve",
  "we'd've": "wed've we'dve",
  "who'd've": "whod've who'dve",
  "wouldn't've": "wouldnt've wouldn'tve",
  "y'all'll": "yall'll y'allll",
  "y'all'd've": "yall'd've y'alld've y'all'dve",
  "you'd've": "youd've you'dve",
};

// The official list also has "Im", "Ive", "Id've" and "I'dve", which no lower-cased word equals.
const contractions = new Map([
  ...oneApostrophe.split(/\s+/).map((word): [string, string] => [word.replace("'", ''), word]),
  ...Object.entries(chosenSpellings).flatMap(([word, spellings]) =>
    spellings.split(' ').map((spelling): [string, string] => [spelling, word]),
  ),
]);

const trimmed = (answer: string): string => answer.replaceAll(/[\n\t]/g, ' ').trim();

/**
 * The official punctuation step. A mark becomes a blank, or nothing where it stands beside a blank anywhere in the
 * answer or the answer has a comma between digits; a period goes unless a digit follows. Only the first 32 periods go,
 * because the official code passes re.UNICODE, which is 32, as the count.
 */
export function stripPunctuation(answer: string): string {
  const deletes = /\p{Nd},\p{Nd}/u.test(answer);
  let text = answer;
  for (const mark of punctuation) {
    const beside = answer.includes(`${mark} `) || answer.includes(` ${mark}`);
    text = text.replaceAll(mark, deletes || beside ? '' : ' ');
  }
  let periods = 0;
  return text.replaceAll(/\.(?!\p{Nd})/gu, (period) => (periods++ < 32 ? '' : period));
}

/** The official word step: lower case, number words as digits, no articles, apostrophes restored in contractions. */
function normaliseWords(text: string): string {
  return text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => numbers.get(word) ?? word)
    .filter((word) => !articles.has(word))
    .map((word) => contractions.get(word) ?? word)
    .join(' ');
}

/** An answer as the official VQA evaluation compares it. */
export const normaliseAnswer = (answer: string): string => normaliseWords(stripPunctuation(trimmed(answer)));

/**
 * Which text is compared. `official`: both sides are normalised, but only where the references differ. `lavis`: the
 * answer is always normalised, the references get the punctuation step alone, and that only where they differ; published
 * BLIP-2 numbers come from it.
 */
export type VqaRule = 'official' | 'lavis';

/**
 * VQAv2 accuracy of an answer in percent: an answer that three people gave is right. Each reference is left out in turn,
 * min(matches among the others / 3, 1) is averaged (Goyal et al., CVPR 2017; visualqa.org's evaluation code). Throws
 * DataError where there is no reference.
 */
export function vqaAccuracy(answer: string, references: readonly string[], rule: VqaRule = 'official'): number {
  if (references.length === 0) throw new DataError('VQA accuracy: expected at least one reference answer, found none');
  const { compared, expected } =
    rule === 'official' ? officialTexts(answer, references) : lavisTexts(answer, references);
  const matches = expected.filter((reference) => reference === compared).length;
  return 100 * mean(expected.map((reference) => Math.min((matches - (reference === compared ? 1 : 0)) / 3, 1)));
}

const differ = (texts: readonly string[]): boolean => new Set(texts).size > 1;

function officialTexts(answer: string, references: readonly string[]): { compared: string; expected: string[] } {
  const expected = references.map(trimmed);
  if (!differ(expected)) return { compared: trimmed(answer), expected };
  return { compared: normaliseAnswer(answer), expected: expected.map(normaliseAnswer) };
}

function lavisTexts(answer: string, references: readonly string[]): { compared: string; expected: readonly string[] } {
  return {
    compared: normaliseAnswer(answer),
    expected: differ(references) ? references.map(stripPunctuation) : references,
  };
}
