/** Stage 1 against LAVIS: losses, negatives and gradients on the fixture's weights, as golden/README.md describes. */
import { describe, expect, it } from 'vitest';
import { parseBlip2Config, stageOneInputs, stageOneLosses } from '../../src/blip2/index.ts';
import { floats, toFloat32, toNumbers, type Value, value } from '../../src/core/index.ts';
import { differentiate } from '../../src/graph/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import {
  absoluteError,
  gradientError,
  hasFixture,
  magnitude,
  readFixture,
  readJson,
  relativeError,
  take,
  tolerances,
} from './fixtures.ts';
import { lavisStageOne, type StageOneNames } from './stage-one-names.ts';

interface Run {
  loss: number;
  loss_itc: number;
  loss_itm: number;
  loss_lm: number;
  negative_image_for_text: number[];
  negative_text_for_image: number[];
}

const names = await readJson<StageOneNames>('stage1/names.json');
const inputs = await readFixture('stage1/inputs.safetensors');
const { runs } = await readJson<{ runs: Record<string, Run> }>('stage1/losses.json');
const lavis = lavisStageOne(names);
const weights = lavis.toHf(await readFixture('stage1/weights_lavis.safetensors'));

const config = parseBlip2Config(lavis.config(weights));
const [batch, patches, imageWidth] = take(inputs, 'image_embeds').shape as [number, number, number];
const tokens = take(inputs, 'input_ids').shape[1]!;

const int64 = (v: Value): Value => value('int64', v.shape, BigInt64Array.from(toNumbers(v), BigInt));
const zeros = floats([batch, batch], new Float32Array(batch * batch));
const offDiagonal = floats(
  [batch, batch],
  Float32Array.from({ length: batch * batch }, (_, i) => (i % (batch + 1) ? 1 : 0)),
);
/** No noise and full hardness: the hardest negative, which is the fixture's "argmax". */
const feeds = {
  imageEmbeds: take(inputs, 'image_embeds'),
  inputIds: int64(take(inputs, 'input_ids')),
  attentionMask: int64(take(inputs, 'attention_mask')),
  negatives: offDiagonal,
  gumbelText: zeros,
  gumbelImage: zeros,
  hardness: floats([], [1]),
};

const targets = { loss: 'loss', itc: 'loss_itc', itm: 'loss_itm', itg: 'loss_lm' } as const;

async function run(gatherGradient: boolean, target: keyof typeof targets) {
  const p = new Params();
  const batchInputs = stageOneInputs({ batch, patches, imageWidth, tokens });
  const losses = stageOneLosses(p, batchInputs, config, { decoderStart: names.config.dec_token_id, gatherGradient });
  const { similarities, ...scalars } = losses;
  const wrt = [...p.declared];
  const gradients = differentiate(losses[target], [...wrt.map(([, t]) => t), batchInputs.imageEmbeds]);
  const outputs = {
    ...scalars,
    ...similarities,
    ...Object.fromEntries(
      [...wrt.map(([name]) => name), 'image_embeds'].map((name, i) => [`grad.${name}`, gradients[i]!]),
    ),
  };
  const session = await compile(outputs, weightsFrom(weights));
  const results: Record<string, Value> = await session.run(feeds);
  return { results, declared: p.declared };
}

describe.each([
  ['argmax_dist', false],
  ['argmax_nodist', true],
] as const)('stage 1, %s', (runName, gatherGradient) => {
  const expected = runs[runName]!;

  it('gives the losses, the similarities and the negatives', async () => {
    const { results, declared } = await run(gatherGradient, 'loss');
    expect([...declared.keys()].sort()).toEqual([...weights.keys()].sort());
    for (const [ours, theirs] of Object.entries(targets)) {
      expect(absoluteError(take(results, ours), floats([], [expected[theirs]])), theirs).toBeLessThan(tolerances.loss);
    }
    expect(toNumbers(take(results, 'negativeImage'))).toEqual(expected.negative_image_for_text);
    expect(toNumbers(take(results, 'negativeText'))).toEqual(expected.negative_text_for_image);
    const forward = await readFixture('stage1/forward.safetensors');
    for (const [ours, theirs] of [
      ['imageToText', 'sim_i2t'],
      ['textToImage', 'sim_t2i'],
      ['itmLogits', 'itm_logits'],
    ] as const) {
      expect(relativeError(take(results, ours), take(forward, theirs)), theirs).toBeLessThan(tolerances.forward);
    }
    // The fixture's last position has no label; ours is not computed.
    const itg = take(results, 'itgLogits');
    const [, length, vocabulary] = itg.shape as [number, number, number];
    const all = toFloat32(take(forward, 'lm_logits'));
    const kept = all.filter((_, i) => Math.floor(i / vocabulary) % (length + 1) < length);
    expect(relativeError(itg, floats(itg.shape, kept)), 'lm_logits').toBeLessThan(tolerances.forward);
  });

  // The set has the gradients of ITM and ITG once: they are the same in both runs.
  const file = (target: keyof typeof targets) => `stage1/grad_${runName}_${targets[target]}.safetensors`;
  const given = (Object.keys(targets) as (keyof typeof targets)[]).filter((target) => hasFixture(file(target)));
  it.each(given)('gives the gradients of %s', async (target) => {
    const golden = Object.fromEntries(lavis.toHf(await readFixture(file(target))));
    const { results } = await run(gatherGradient, target);
    const ours = Object.fromEntries(
      Object.entries(results).flatMap(([name, v]) => (name.startsWith('grad.') ? [[name.slice(5), v]] : [])),
    );
    const { error, name } = gradientError(ours, golden);
    expect(error, name).toBeLessThan(tolerances.gradient);
    for (const [absent, v] of Object.entries(ours)) {
      if (!(absent in golden)) expect(magnitude(v), absent).toBe(0);
    }
  });
});
