import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/core/index.ts';
import { input, type Tensor } from '../../src/graph/index.ts';
import { countedPositions, lastOf } from '../../src/models/decoder/index.ts';
import { compile } from '../../src/runtime/index.ts';
import {
  type Fixture,
  goldenPath,
  readFixture,
  readJson,
  relativeError,
  scaledError,
  take,
  tolerances,
} from './fixtures.ts';
import { asInt64, checkpoints, keptRows, openLanguageModel, withVisualPrompt } from './language-case.ts';

interface Cases {
  readonly other?: Readonly<Record<string, { readonly file: string; readonly checkpoint: string }>>;
}

/** Every recorded forward pass of a checkpoint, and the checkpoint whose weights it used. */
async function recordedCases(name: string): Promise<{ file: string; checkpoint: string }[]> {
  const { other = {} } = await readJson<Cases>(`outputs/${name}/cases.json`);
  const checkpointOf = new Map(Object.values(other).map(({ file, checkpoint }) => [file, checkpoint]));
  const files = (await readdir(goldenPath(`outputs/${name}`))).filter((file) => file.endsWith('.safetensors'));
  return files.map((file) => ({ file: `outputs/${name}/${file}`, checkpoint: checkpointOf.get(file) ?? name }));
}

/** The logits of a decoder-only case, with positions as the plain forward and as generation counts them. */
async function decoderLogits(fixture: Fixture, checkpoint: string): Promise<Record<'plain' | 'counted', Value>> {
  const { lm, params: p, imageToken, weights } = await openLanguageModel(checkpoint, fixture);
  const inputIds = input('input_ids', 'int64', ['batch', 'sequence']);
  const inputsEmbeds = input('inputs_embeds', 'float32', ['batch', 'sequence', lm.width]);
  const attentionMask = input('attention_mask', 'int64', ['batch', 'sequence']);
  const logits = (positionIds?: Tensor) =>
    lm.head(p, lm.decode(p, { inputsEmbeds, attentionMask, positionIds }).hidden);
  const embedding = await compile({ embeds: lm.embed(p, inputIds) }, weights);
  const model = await compile(
    { plain: logits(), counted: logits(lastOf(countedPositions(attentionMask), 'sequence')) },
    weights,
  );
  try {
    const { embeds } = await embedding.run({ input_ids: asInt64(take(fixture, 'in.input_ids')) });
    return await model.run({
      inputs_embeds: withVisualPrompt(embeds, fixture, imageToken),
      attention_mask: asInt64(take(fixture, 'in.attention_mask')),
    });
  } finally {
    await embedding.release();
    await model.release();
  }
}

for (const name of checkpoints.filter((c) => c !== 'blip2-t5')) {
  describe(`${name}'s language model`, async () => {
    it.each(await recordedCases(name))('gives the logits of $file', async ({ file, checkpoint }) => {
      const fixture = await readFixture(file);
      const isProbe = Object.keys(fixture).some((key) => key.startsWith('override.'));
      const [error, tolerance] = isProbe ? [scaledError, tolerances.epsProbe] : [relativeError, tolerances.forward];
      const mask = take(fixture, 'in.attention_mask');
      const { plain, counted } = await decoderLogits(fixture, checkpoint);
      expect(error(keptRows(plain, mask), keptRows(take(fixture, 'out.logits'), mask))).toBeLessThan(tolerance);
      const generated = fixture['out.logits_generate_positions'];
      if (generated) expect(error(keptRows(counted, mask), keptRows(generated, mask))).toBeLessThan(tolerance);
    });
  });
}
