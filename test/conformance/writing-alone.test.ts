/** ITG alone has the loss and the gradients that it has beside objectives which weigh nothing (float32: within 1e-5). */
import { expect, it } from 'vitest';
import { stageOneInputs, stageOneLosses, writingLosses } from '../../src/blip2/index.ts';
import { random, toNumbers, type Value } from '../../src/core/index.ts';
import { differentiate, type Tensor } from '../../src/graph/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile } from '../../src/runtime/index.ts';
import { config, imageWidth, normal, randomBatch } from './small-stage-one.ts';

const [tokens, patches] = [6, 5];
const lengths = [3, 4, 5, 6];

it('is what the sum is without the others', async () => {
  const draws = random(5, 'writing');
  const p = new Params();
  const inputs = stageOneInputs({ batch: lengths.length, patches, imageWidth, tokens });
  const options = { decoderStart: 1, weights: { itc: 0, itm: 0, itg: 2 } };
  const beside = stageOneLosses(p, inputs, config, options);
  const alone = writingLosses(p, inputs, config, options);
  const parameters = [...p.declared.values()];
  const outputs: Record<string, Tensor> = {};
  for (const [part, { loss, queryCosine }] of Object.entries({ beside, alone })) {
    Object.assign(outputs, { [`${part} loss`]: loss, [`${part} cosine`]: queryCosine });
    const gradients = differentiate(loss, parameters);
    for (const [i, name] of [...p.declared.keys()].entries()) outputs[`${part} ${name}`] = gradients[i]!;
  }
  const weights = new Map<string, Value>(
    [...p.declared].map(([name, t]) => [name, normal(draws, t.shape.map(Number), name === 'temp' ? 0 : 0.3)]),
  );
  const session = await compile<string>(outputs, (name) => weights.get(name));
  const { imageEmbeds, inputIds, attentionMask } = randomBatch(draws, { lengths, patches, tokens });
  const results = await session.run({ imageEmbeds: imageEmbeds!, inputIds: inputIds!, attentionMask: attentionMask! });
  for (const name of Object.keys(outputs).filter((name) => name.startsWith('beside '))) {
    const [expected, found] = [name, name.replace('beside', 'alone')].map((n) => toNumbers(results[n]!));
    const largest = Math.max(...expected!.map(Math.abs));
    expect(Math.max(...expected!.map((x, i) => Math.abs(x - found![i]!))), name).toBeLessThanOrEqual(
      1e-5 * largest + 1e-10,
    ); // a key's bias has none
  }
});
