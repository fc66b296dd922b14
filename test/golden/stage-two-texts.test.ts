/** Texts as stage 2 learns them, token by token: LAVIS's, of BLIP-2's OPT (lavis/models/blip2_models/blip2_opt.py). */
import { expect, it } from 'vitest';
import { toNumbers, type Value } from '../../src/core/index.ts';
import { Checkpoint, readJsonObject } from '../../src/hub/index.ts';
import { readLanguageModel, tokeniseTexts } from '../../src/training/language-model.ts';
import { goldenPath, readFixture, readJson, take } from './fixtures.ts';

interface Losses {
  readonly texts: { readonly captions: readonly string[]; readonly prompt: string };
  readonly runs: Readonly<Record<string, { readonly checkpoint: string; readonly note: string }>>;
}
const { texts, runs } = await readJson<Losses>('stage2/losses.json');
/** LAVIS's own limit, where a run names none. */
const defaultLength = 32;

it.each(['opt_pretrain', 'opt_prompt', 'opt_truncated'].filter((name) => name in runs))('%s', async (name) => {
  const { checkpoint, note } = runs[name]!;
  const language = await readLanguageModel(goldenPath(`checkpoints/${checkpoint}`));
  const fixture = await readFixture(`stage2/${name}.safetensors`);
  const prompt = name === 'opt_pretrain' ? '' : texts.prompt;
  const maxLength = Number(/max_length (\d+)/.exec(note)?.[1] ?? defaultLength);
  const rows = tokeniseTexts(
    language,
    texts.captions.map((target) => ({ prompt, target })),
    maxLength,
  );
  const recorded = take(fixture, 'in.labels');
  const { labels } = rows.padTo(rows.length);
  expect(learnt(labels)).toEqual(learnt(recorded));
});

it('reads the language model of a BLIP-2, and that its OPT ends at a line break', async () => {
  const folder = goldenPath('checkpoints/blip2-opt');
  const { stored, endTokens } = await readLanguageModel(folder);
  const names = [...(await Checkpoint.open(folder)).entries.keys()];
  expect([...stored.keys()]).toEqual(names.filter((name) => name.startsWith('language_model.')));
  const { text_config } = await readJsonObject(`${folder}/config.json`);
  expect(text_config).toMatchObject({ eos_token_id: endTokens[0] });
});

/** The tokens of each row that carry loss. */
function learnt(labels: Value): number[][] {
  const [rows, length] = labels.shape as [number, number];
  const all = toNumbers(labels);
  return Array.from({ length: rows }, (_, row) => all.slice(row * length, (row + 1) * length).filter((id) => id >= 0));
}
