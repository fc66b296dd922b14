import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ptbTokenize } from './index.ts';

/** Consecutive lines of one text, and what stanford-corenlp-3.4.1 printed for them, punctuation removed. */
const official: [caption: string, tokens: string][] = [
  ["Mr. and Mrs. O'Brien's dog can't run, isn't it?", "mr. and mrs. o'brien 's dog ca n't run is n't it"],
  [
    'The U.S. team met the non-U.S. team at 9 a.m. on Jan. 5.',
    'the u.s. team met the non-u.s. team at 9 a.m. on jan. 5',
  ],
  ['Dr. Smith Jr. of Acme Inc. has a Ph.D. in No. 5 paints', 'dr. smith jr. of acme inc. has a ph.d. in no. 5 paints'],
  [
    "a mother-in-law in a 1990's t-shirt, e.g. a well-known 20-year-old",
    "a mother-in-law in a 1990 's t-shirt e.g. a well-known 20-year-old",
  ],
  ["I'd've said y'all'll go 'cause it's rock 'n' roll", "i 'd 've said y' all 'll go 'cause it 's rock 'n' roll"],
  ["'Twas the '90s: gonna gimme what I wanna", "'t was the '90s gon na gim me what i wan na"],
  ['He said “it’s 3½ miles” — or 3 1/2 … maybe', "he said it 's 3 1/2 miles or 3\u00A01/2 maybe"],
  ['wait.... what?! no . . . really -- yes --- ok -----', 'wait what ?! no really yes ok -----'],
  [
    "(left) [sic] {x} <b>bold</b> <img src='a b'> 3<4",
    "-lrb- left -rrb- -lsb- sic -rsb- -lcb- x -rcb- <b> bold </b> <img\u00A0src='a\u00A0b'> 3 < 4",
  ],
  ['$5.99, US$10, £5, €10, 50¢ and 100% of #1', '$ 5.99 us$ 10 # 5 $ 10 50 cents and 100 % of # 1'],
  [
    'see http://x.org/a_b?c=1, www.foo.com/bar. or me@foo.co.uk',
    'see http://x.org/a_b?c=1 www.foo.com/bar or me@foo.co.uk',
  ],
  ['photo.jpg and a.tar.gz, and/or w/o AT&T R&D S&amp;P', 'photo.jpg and a.tar.gz and/or w/o at&t r&d s&p'],
  [
    'call (555) 123-4567 or 555.123.4567 on 12/25/2003 at 12:30',
    'call -lrb-555-rrb-\u00A0123-4567 or 555.123.4567 on 12/25/2003 at 12:30',
  ],
  ['smile :-) or :D, ^_^ and C++ or c#', 'smile :--rrb- or :d ^_^ and c++ or c#'],
  ["‘single’ «double» „low“ ''latex'' ``quotes``", 'single double „ low latex quotes'],
  ['10,000 or 1.5 or .5 or -3 or +4, 5\'10" tall', '10,000 or 1.5 or .5 or -3 or +4 5 10 tall'],
  ['an emoji 😀 and a heart ❤️ and café naïve über', 'an emoji and a heart ❤ and café naïve über'],
  ['日本語。 and soft\u00ADhyphen and nb\u00A0space', '日本語 。 and softhyphen and nb space'],
  ['plan a.b.c and A.B and J.K. Rowling vs. W. Bush', 'plan a.b.c and a.b and j.k. rowling vs. w. bush'],
  ['bread & butter &amp; jam &lt;tag&gt; &quot;x&quot;', 'bread & butter & jam < tag > x'],
  ['it costs etc.', 'it costs etc.'],
  ['she takes vitamin C.', 'she takes vitamin c'],
  ['The pills are red', 'the pills are red'],
  ['she takes vitamin C.', 'she takes vitamin c.'],
  ['and pills', 'and pills'],
  ['figs. 3 and ca. 10 vs. ca. ten', 'figs. 3 and ca. 10 vs. ca ten'],
  ['co. ltd and Pty. Ltd. in Canada-U.S. trade', 'co. ltd and pty. ltd. in canada-u.s. trade'],
];

it("splits as the Stanford tokenizer does, the next line's first word included", () => {
  expect(ptbTokenize(official.map(([caption]) => caption))).toEqual(official.map(([, tokens]) => tokens));
});

it('keeps one caption a line, whatever line ends are inside it', () => {
  expect(ptbTokenize(['a\nred\r\ncat', 'two\u2028dogs', ''])).toEqual(['a red cat', 'two dogs', '']);
});

it('gives one line a caption, in lower case and without lone punctuation, for any text', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), (captions) => {
      const lines = ptbTokenize(captions);
      expect(lines).toHaveLength(captions.length);
      for (const line of lines) {
        expect(line).toBe(line.toLowerCase());
        expect(line.split(' ')).not.toContain('.');
      }
    }),
  );
});

it('leaves plain words as they are', () => {
  // One-letter words are left out: before some words "c. The" is read differently.
  const word = fc
    .stringMatching(/^[b-z]{3,9}$/)
    .filter((w) => !['gonna', 'gotta', 'lemme', 'gimme', 'wanna'].includes(w));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1 }), (words) => {
      expect(ptbTokenize([words.join('  ')])).toEqual([words.join(' ')]);
    }),
  );
});
