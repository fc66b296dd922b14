/** ITG alone has the loss and the gradients that it has beside objectives which weigh nothing (float32: within 1e-5). */
import { expect, it } from 'vitest';
import { stageOneInputs, stageOneLosses, writingLosses } from '../../src/blip2/index.ts';
import { elements, floats, int64s, random, toNumbers, type Value } from '../../src/core/index.ts';
import { differentiate, type Tensor } from '../../src/graph/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile } from '../../src/runtime/index.ts';
import { config, imageWidth } from './small-stage-one.ts';

const [batch, tokens, patches] = [4, 6, 5];
const draws = random(5, 'writing');
const normal = (shape: readonly number[], deviation = 1) =>
  floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => deviation * draws.normal()),
  );

it('is what the sum is without the others', async () => {
  const p = new Params();
  const inputs = stageOneInputs({ batch, patches, imageWidth, tokens });
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
    [...p.declared].map(([name, t]) => [name, normal(t.shape.map(Number), name === 'temp' ? 0 : 0.3)]),
  );
  const session = await compile<string>(outputs, (name) => weights.get(name));
  const results = await session.run({
    imageEmbeds: normal([batch, patches, imageWidth]),
    inputIds: int64s(
      [batch, tokens],
      Array.from({ length: batch * tokens }, () => 2 + draws.below(18)),
    ),
    attentionMask: int64s(
      [batch, tokens],
      Array.from({ length: batch * tokens }, (_, i) => (i % tokens <= 2 + Math.floor(i / tokens) ? 1 : 0)),
    ),
  });
  for (const name of Object.keys(outputs).filter((name) => name.startsWith('beside '))) {
    const [expected, found] = [name, name.replace('beside', 'alone')].map((n) => toNumbers(results[n]!));
    const largest = Math.max(...expected!.map(Math.abs));
    expect(Math.max(...expected!.map((x, i) => Math.abs(x - found![i]!))), name).toBeLessThanOrEqual(
      1e-5 * largest + 1e-10,
    ); // a key's bias has none
  }
});
