/** LAVIS's text processors (lavis/processors/blip_processors.py): how the training texts of published models look. */

const punctuation = /[.!"()*#:;~]/g;

/** The first `maxWords` words, where a word is what single blanks separate. */
const firstWords = (text: string, maxWords: number): string => text.split(' ').slice(0, maxWords).join(' ');

/** `blip_caption`: lower case, punctuation to blanks, at most `maxWords` words, after `prompt`. */
export function blipCaption(text: string, { prompt = '', maxWords = 50 } = {}): string {
  const words = text
    .toLowerCase()
    .replace(punctuation, ' ')
    .replace(/\s{2,}/g, ' ');
  return prompt + firstWords(words.replace(/\n+$/, '').replace(/^ +| +$/g, ''), maxWords);
}

/** `blip_question`: lower case, punctuation deleted, at most `maxWords` words. */
export function blipQuestion(text: string, { maxWords = 50 } = {}): string {
  return firstWords(text.toLowerCase().replace(punctuation, '').replace(/ +$/, ''), maxWords);
}

/** A template's words around a question, which stands where {} does. */
export const fillIn = (template: string, question: string): string => template.replace('{}', () => question);

/**
 * The text of word pieces with the gaps closed that BERT's pre-tokenizer leaves around hyphens and apostrophes between
 * words: `snow - capped`, `men ' s`. transformers' clean-up closes those around apostrophes alone, also after a plural
 * (`dogs ' bowls`), where one blank stays here.
 */
export const closeWordGaps = (text: string): string =>
  text
    .replace(/(?<=\w) - (?=\w)/g, '-')
    .replace(/(?<=s) ' (?!(?:s|t|re|ve|ll|d|m)\b)/g, "' ")
    .replace(/(?<=\w) ' (?=\w)/g, "'");
