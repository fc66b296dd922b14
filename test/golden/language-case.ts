/** Language models of the golden checkpoints, and the recorded visual prompts that stand for the vision half. */
import { readdir } from 'node:fs/promises';
import { int64s, toFloat32, toNumbers, type Value, value } from '../../src/core/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';
import { type LanguageModel, languageModel } from '../../src/models/language-models.ts';
import { Params } from '../../src/nn/index.ts';
import type { Weights } from '../../src/runtime/index.ts';
import { type Fixture, goldenPath, hasFixture, readJson, take } from './fixtures.ts';

interface ModelConfig {
  readonly image_token_index: number;
  readonly text_config: { readonly model_type: string };
}

export interface GoldenLanguageModel {
  readonly lm: LanguageModel;
  /** Rooted where a BLIP-2 checkpoint keeps its language model. */
  readonly params: Params;
  readonly imageToken: number;
  readonly weights: Weights;
  /** The names of the checkpoint's language model. */
  readonly names: readonly string[];
}

/** Checkpoints that recorded runs exist for: those that write. */
export const checkpoints: readonly string[] = (await readdir(goldenPath('outputs'))).filter((name) =>
  hasFixture(`outputs/${name}/generation.json`),
);

/** A checkpoint's language model; `overrides` are tensors `override.<name>` that replace the checkpoint's. */
export async function openLanguageModel(checkpoint: string, overrides: Fixture = {}): Promise<GoldenLanguageModel> {
  const config = await readJson<ModelConfig>(`checkpoints/${checkpoint}/config.json`);
  const { entries } = await Checkpoint.open(goldenPath(`checkpoints/${checkpoint}`));
  return {
    lm: languageModel(config.text_config),
    params: new Params().at('language_model'),
    imageToken: config.image_token_index,
    weights: (name) => overrides[`override.${name}`] ?? entries.get(name),
    names: [...entries.keys()].filter((name) => name.startsWith('language_model.')),
  };
}

/** Fixtures hold ids and masks as int32. */
export const asInt64 = (v: Value): Value => int64s(v.shape, toNumbers(v));

/** A case's embeddings: at its image tokens, in order, the rows of `language_projection` [B, Q, D]. */
export function withVisualPrompt(embeds: Value, fixture: Fixture, imageToken: number): Value {
  const data = toFloat32(embeds).slice();
  const prompt = toFloat32(take(fixture, 'out.language_projection'));
  const width = embeds.shape[2]!;
  let row = 0;
  toNumbers(take(fixture, 'in.input_ids')).forEach((id, position) => {
    if (id !== imageToken) return;
    data.set(prompt.subarray(row * width, (row + 1) * width), position * width);
    row += 1;
  });
  return value('float32', embeds.shape, data);
}

/** The rows [.., V] of `logits` [B, T, V] where `mask` [B, T] is 1. */
export function keptRows(logits: Value, mask: Value): Value {
  const width = logits.shape.at(-1)!;
  const data = toFloat32(logits);
  const kept = toNumbers(mask).flatMap((keep, row) =>
    keep === 1 ? [data.subarray(row * width, (row + 1) * width)] : [],
  );
  return value('float32', [kept.length, width], Float32Array.from(kept.flatMap((row) => [...row])));
}
