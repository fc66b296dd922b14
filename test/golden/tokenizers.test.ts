import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { toNumbers, type Value } from '../../src/core/index.ts';
import {
  bertFiles,
  blip2Prompt,
  blipCaption,
  blipQuestion,
  readTokenizer,
  type Side,
  Tokenizer,
  withSpecialToken,
} from '../../src/text/index.ts';
import { goldenPath, hasFixture, readFixture, readJson, take } from './fixtures.ts';

interface Padded {
  input_ids: number[];
  attention_mask: number[];
}
interface Row {
  ids: number[];
  ids_special: number[];
  tokens: string[];
  padded: Padded;
  padded_other_side: Padded;
  decoded: string;
  decoded_skip_special: string;
  decoded_skip_special_cleanup: string;
}
interface Golden {
  strings: string[];
  tokenizers: Record<
    string,
    {
      vocab_size: number;
      padding_side: Side;
      truncation_side: Side;
      special: Record<string, [token: string, id: number]>;
      rows: Row[];
    }
  >;
}

const golden = await readJson<Golden>('tokenizers/golden.json');
const opposite = (side: Side): Side => (side === 'left' ? 'right' : 'left');

describe.each(Object.entries(golden.tokenizers))('%s', async (name, expected) => {
  const tokenizer = await readTokenizer(goldenPath(`tokenizers/${name}`));
  const rows = expected.rows.map((row, i) => [golden.strings[i]!, row] as const);

  it('has the vocabulary, the special tokens and the sides', () => {
    expect(tokenizer.vocabularySize).toBe(expected.vocab_size);
    expect(tokenizer.paddingSide).toBe(expected.padding_side);
    expect(tokenizer.truncationSide).toBe(expected.truncation_side);
    const special = Object.entries(tokenizer.special).filter(([, id]) => id !== undefined);
    expect(Object.fromEntries(special.map(([role, id]) => [`${role}_token`, [tokenizer.piece(id), id]]))).toEqual(
      expected.special,
    );
  });
  it('encodes every string', () => {
    for (const [text, row] of rows) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      expect(ids, text).toEqual(row.ids);
      expect(
        ids.map((id) => tokenizer.piece(id)),
        text,
      ).toEqual(row.tokens);
      expect(tokenizer.encode(text), text).toEqual(row.ids_special);
    }
  });
  it('goes on from a prompt with the rest of the ids', () => {
    for (const [text, row] of rows) {
      for (const { index } of text.matchAll(/(?<=\S) (?=\S)/g)) {
        const prompt = text.slice(0, index);
        const before = tokenizer.encode(prompt, { addSpecialTokens: false });
        if (!before.every((id, i) => row.ids[i] === id)) continue; // a piece of the whole reaches over the prompt's end
        expect([...before, ...tokenizer.encodeAfter(prompt, text.slice(index + 1))], text).toEqual(row.ids);
      }
    }
  });
  it('pads and truncates, on either side', () => {
    for (const [text, row] of rows) {
      const length = row.padded.input_ids.length;
      const own = tokenizer.encodeBatch([text], { maxLength: length, padTo: length });
      const other = tokenizer.encodeBatch([text], {
        maxLength: length,
        padTo: length,
        paddingSide: opposite(expected.padding_side),
        truncationSide: opposite(expected.truncation_side),
      });
      for (const [ours, theirs] of [
        [own, row.padded],
        [other, row.padded_other_side],
      ] as const) {
        expect(toNumbers(ours.inputIds), text).toEqual(theirs.input_ids);
        expect(toNumbers(ours.attentionMask), text).toEqual(theirs.attention_mask);
      }
    }
  });
  it('decodes every row', () => {
    for (const [text, row] of rows) {
      const decode = (skipSpecialTokens: boolean, cleanUp: boolean) =>
        tokenizer.decode(row.ids_special, { skipSpecialTokens, cleanUp });
      expect(decode(false, false), text).toBe(row.decoded);
      expect(decode(true, false), text).toBe(row.decoded_skip_special);
      expect(decode(true, true), text).toBe(row.decoded_skip_special_cleanup);
    }
  });
});

it('a vocab.txt alone gives the ids of its tokenizer.json', async () => {
  const pieces = (await readFile(goldenPath('tokenizers/bert/vocab.txt'), 'utf8')).trimEnd().split('\n');
  const dec = golden.tokenizers.bert!.special.bos_token![0];
  const tokenizer = new Tokenizer(withSpecialToken(bertFiles(pieces), 'bos', dec));
  expect(tokenizer.special.bos).toBe(golden.tokenizers.bert!.special.bos_token![1]);
  for (const [i, row] of golden.tokenizers.bert!.rows.entries()) {
    expect(tokenizer.encode(golden.strings[i]!)).toEqual(row.ids_special);
    expect(tokenizer.decode(row.ids, { cleanUp: true })).toBe(row.decoded_skip_special_cleanup);
  }
});

interface Cases {
  prompts?: string[];
  texts?: string[];
  image_token_id: number;
  cases?: Record<string, { file: string; padding_side?: Side; prompts?: string[] }>;
}

interface Run {
  new_tokens?: number[][];
  sequences: number[][];
  decoded: string[];
}
/** `generation.json`: tokens made by a model of random weights, so with many broken characters. */
type Generation = Record<string, { runs: Record<string, Run>; lavis_runs?: Record<string, Run> }>;

const rowsOf = ({ shape, data }: Value): number[][] =>
  Array.from({ length: shape[0]! }, (_, b) => Array.from(data.slice(b * shape[1]!, (b + 1) * shape[1]!), Number));

describe.each(await readdir(goldenPath('outputs')))('the processor of %s', async (name) => {
  const folder = goldenPath(`checkpoints/${name}`);
  const tokenizer = await readTokenizer(folder);
  const { num_query_tokens: queries } = await readJson<{ num_query_tokens: number }>(
    `checkpoints/${name}/processor_config.json`,
  );
  const cases = await readJson<Cases>(`outputs/${name}/cases.json`);
  const batches = Object.entries(cases.cases ?? { batch: { file: 'batch.safetensors', prompts: cases.texts } });

  it('has the image token', () => {
    expect(tokenizer.special.image).toBe(cases.image_token_id);
  });
  it.each(batches.filter(([, { prompts }]) => prompts))('writes the input of %s', async (_, batch) => {
    const fixture = await readFixture(`outputs/${name}/${batch.file}`);
    const options = { queries, ...(batch.padding_side && { paddingSide: batch.padding_side }) };
    const ours = blip2Prompt(tokenizer, batch.prompts!, options);
    expect(rowsOf(ours.inputIds)).toEqual(rowsOf(take(fixture, 'in.input_ids')));
    expect(rowsOf(ours.attentionMask)).toEqual(rowsOf(take(fixture, 'in.attention_mask')));
    if (fixture['in.qformer_input_ids']) {
      const qFormer = await readTokenizer(`${folder}/qformer_tokenizer`);
      const question = qFormer.encodeBatch(batch.prompts!);
      expect(rowsOf(question.inputIds)).toEqual(rowsOf(take(fixture, 'in.qformer_input_ids')));
      expect(rowsOf(question.attentionMask)).toEqual(rowsOf(take(fixture, 'in.qformer_attention_mask')));
    }
  });
  it.runIf(hasFixture(`outputs/${name}/generation.json`))('decodes what was generated', async () => {
    const generation = await readJson<Generation>(`outputs/${name}/generation.json`);
    for (const { runs, lavis_runs = {} } of Object.values(generation)) {
      for (const { new_tokens, decoded } of Object.values(runs)) {
        expect(new_tokens!.map((ids) => tokenizer.decode(ids))).toEqual(decoded);
      }
      for (const { sequences, decoded } of Object.values(lavis_runs)) {
        expect(sequences.map((ids) => tokenizer.decode(ids).trim())).toEqual(decoded); // LAVIS strips its answers
      }
    }
  });
});

interface TextProcessors {
  cases: Record<
    'text' | 'blip_caption' | 'blip_caption_prompt_a_photo_of' | 'blip_caption_max_words_5' | 'blip_question',
    string
  >[];
}

it("LAVIS's text processors", async () => {
  const { cases } = await readJson<TextProcessors>('metrics/text_processors.json');
  for (const expected of cases) {
    expect({
      text: expected.text,
      blip_caption: blipCaption(expected.text),
      blip_caption_prompt_a_photo_of: blipCaption(expected.text, { prompt: 'a photo of ' }),
      blip_caption_max_words_5: blipCaption(expected.text, { maxWords: 5 }),
      blip_question: blipQuestion(expected.text),
    }).toEqual(expected);
  }
});
