import { lineBreak, tokenRules } from './ptb-grammar.ts';

/** What pycocoevalcap drops after tokenising. Its brackets are in capitals and so never match lower-cased tokens. */
const punctuation = new Set(["''", "'", '``', '`', '.', '?', '!', ',', ':', '-', '--', '...', ';']);

/**
 * Captions in the form the caption metrics compare: the tokens of the Stanford PTBTokenizer as pycocoevalcap runs it
 * (3.4.1, `-preserveLines -lowerCase`), without punctuation, joined by blanks.
 *
 * The tokenizer reads all captions as one text, so the end of a caption can depend on the next one's first word
 * ("vitamin C." before "The …"): pass the whole set in its order to get the scorer's tokens in every such case.
 */
export function ptbTokenize(captions: readonly string[]): string[] {
  const lines = captions.map((caption) => caption.replaceAll(lineBreak, ' '));
  const text = lines.join('\n');
  let at = 0;
  let lineEnd = -1;
  return lines.map((line) => {
    lineEnd += 1 + line.length;
    const tokens: string[] = [];
    while (at < lineEnd) {
      const { token, length } = tokenAt(text, at);
      if (token !== '' && !punctuation.has(token)) tokens.push(token);
      at += length;
    }
    return tokens.join(' ');
  });
}

/** The longest match at a position, right context included, as the lexer chooses it: its text in lower case. */
function tokenAt(text: string, at: number): { token: string; length: number } {
  let longest = 0;
  let token = '';
  let written = '';
  for (const { pattern, write } of tokenRules) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match && match[0].length > longest) {
      longest = match[0].length;
      token = match[1] ?? match[0];
      written = write(token);
    }
  }
  return { token: written.toLowerCase(), length: token.length };
}
