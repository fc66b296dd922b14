import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { int64s, toNumbers, type Value } from '../../src/core/index.ts';
import { expand, input, numbers, type Tensor } from '../../src/graph/index.ts';
import { countedPositions, type Decoder, type EncoderDecoder, lastOf } from '../../src/models/index.ts';
import type { Params } from '../../src/nn/index.ts';
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

const embedsInput = (width: number) => input('inputs_embeds', 'float32', ['batch', 'sequence', width]);
const maskInput = () => input('attention_mask', 'int64', ['batch', 'sequence']);

/** A decoder-only model's logits, with positions as the plain forward counts them and as generation does. */
function decoderGraph(lm: Decoder, p: Params): Record<'plain' | 'counted', Tensor> {
  const [inputsEmbeds, attentionMask] = [embedsInput(lm.width), maskInput()];
  const logits = (positionIds?: Tensor) =>
    lm.head(p, lm.decode(p, { inputsEmbeds, attentionMask, positionIds }).hidden);
  return { plain: logits(), counted: logits(lastOf(countedPositions(attentionMask), 'sequence')) };
}

/** An encoder-decoder model's logits of `decoder_input_ids`. */
function encoderDecoderGraph(lm: EncoderDecoder, p: Params): Record<'plain', Tensor> {
  const [inputsEmbeds, attentionMask] = [embedsInput(lm.width), maskInput()];
  const memory = lm.memory(p, lm.encode(p, { inputsEmbeds, attentionMask }));
  const decoderIds = input('decoder_input_ids', 'int64', ['batch', 'target']);
  const decoded = lm.decode(p, {
    inputsEmbeds: lm.embed(p, decoderIds),
    attentionMask: expand(numbers(1, 'int64'), { shape: decoderIds.shape }),
    memory,
    memoryMask: attentionMask,
  });
  return { plain: lm.head(p, decoded.hidden) };
}

/** What the decoder reads: recorded, or the labels shifted right, with 0 where there is no label (as T5 pads). */
function decoderInputIds(fixture: Fixture, start: number): Value {
  const recorded = fixture['in.decoder_input_ids'];
  if (recorded) return asInt64(recorded);
  const labels = take(fixture, 'in.labels');
  const ids = toNumbers(labels);
  const length = labels.shape[1]!;
  return int64s(
    labels.shape,
    ids.map((_, i) => (i % length === 0 ? start : Math.max(0, ids[i - 1]!))),
  );
}

/** The logits of a recorded case from its visual prompt and its ids. */
async function logitsOf(fixture: Fixture, checkpoint: string): Promise<{ plain: Value; counted?: Value }> {
  const { lm, params: p, imageToken, weights } = await openLanguageModel(checkpoint, fixture);
  const graph = lm.kind === 'decoder' ? decoderGraph(lm, p) : encoderDecoderGraph(lm, p);
  const embedding = await compile({ embeds: lm.embed(p, input('ids', 'int64', ['batch', 'sequence'])) }, weights);
  const model = await compile(graph, weights);
  try {
    const { embeds } = await embedding.run({ ids: asInt64(take(fixture, 'in.input_ids')) });
    return await model.run({
      inputs_embeds: withVisualPrompt(embeds, fixture, imageToken),
      attention_mask: asInt64(take(fixture, 'in.attention_mask')),
      ...(lm.kind === 'decoder' ? {} : { decoder_input_ids: decoderInputIds(fixture, lm.decoderStart) }),
    });
  } finally {
    await embedding.release();
    await model.release();
  }
}

/** Which of the logits' positions count: padding does not, where the logits are of the prompt. */
function scoredPositions(fixture: Fixture): Value {
  const { shape } = take(fixture, 'out.logits');
  const mask = take(fixture, 'in.attention_mask');
  const ofPrompt = !('in.decoder_input_ids' in fixture) && mask.shape[1] === shape[1];
  return ofPrompt ? mask : int64s(shape.slice(0, 2), new Array<number>(shape[0]! * shape[1]!).fill(1));
}

for (const name of checkpoints) {
  describe(`${name}'s language model`, async () => {
    it.each(await recordedCases(name))('gives the logits of $file', async ({ file, checkpoint }) => {
      const fixture = await readFixture(file);
      const isProbe = Object.keys(fixture).some((key) => key.startsWith('override.'));
      const [error, tolerance] = isProbe ? [scaledError, tolerances.epsProbe] : [relativeError, tolerances.forward];
      const mask = scoredPositions(fixture);
      const { plain, counted } = await logitsOf(fixture, checkpoint);
      expect(error(keptRows(plain, mask), keptRows(take(fixture, 'out.logits'), mask))).toBeLessThan(tolerance);
      const generated = fixture['out.logits_generate_positions'];
      if (generated) expect(error(keptRows(counted!, mask), keptRows(generated, mask))).toBeLessThan(tolerance);
    });
  });
}
