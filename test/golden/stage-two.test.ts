/** Stage 2 and the fine-tuning graphs against the reference: losses, what trains, gradients. */
import { describe, expect, it } from 'vitest';
import { parseBlip2Config, stageTwoLoss, trainsInStageTwo } from '../../src/blip2/index.ts';
import { type DType, floats, int64s, toNumbers, type Value, value } from '../../src/core/index.ts';
import { differentiate, input } from '../../src/graph/index.ts';
import { Checkpoint } from '../../src/hub/index.ts';
import { imageEncoder, languageModel } from '../../src/models/index.ts';
import { Params } from '../../src/nn/index.ts';
import { compile, weightsFrom } from '../../src/runtime/index.ts';
import {
  type Fixture,
  goldenPath,
  gradientError,
  readFixture,
  readJson,
  relativeError,
  take,
  takeAll,
  tolerances,
} from './fixtures.ts';

interface Run {
  checkpoint: string;
  note: string;
  loss: number;
  vision_trainable: boolean;
  trainable: string[];
}
const { runs } = await readJson<{ runs: Record<string, Run> }>('stage2/losses.json');

/**
 * The loss of a recorded batch as a graph over the checkpoint's parameters. With more than one text an image, those after
 * the recorded one weigh nothing.
 */
async function stageTwoGraph(checkpoint: string, fixture: Fixture, texts = 1) {
  const json = await readJson<Record<string, Record<string, unknown>>>(`checkpoints/${checkpoint}/config.json`);
  const config = parseBlip2Config(json);
  const Q = config.num_query_tokens;
  const shape = (name: string) => take(fixture, `in.${name}`).shape;
  const tensor = (name: string, dtype: DType = 'int64', skip = 0) =>
    input(
      name,
      dtype,
      shape(name).map((d, i) => (i === 1 ? d - skip : d)),
    );
  const text = (name: string, skip: number) => {
    const { shape } = tensor(name, 'int64', skip);
    return input(name, 'int64', [Number(shape[0]) * texts, shape[1]!]);
  };

  const lm = languageModel(json.text_config!);
  const p = new Params();
  const pixelValues = tensor('pixel_values', 'float32');
  const loss = stageTwoLoss(
    p,
    {
      imageEmbeds: imageEncoder(json.vision_config!).encode(p.at('vision_model'), pixelValues),
      // The fixture's ids begin with the image tokens that stand for the soft prompts.
      inputIds: text('input_ids', Q),
      attentionMask: text('attention_mask', Q),
      labels: text('labels', lm.kind === 'decoder' ? Q : 0),
      ...(texts > 1 && { weights: input('weights', 'float32', [shape('labels')[0]! * texts]) }),
      ...('in.qformer_input_ids' in fixture && {
        question: { inputIds: tensor('qformer_input_ids'), attentionMask: tensor('qformer_attention_mask') },
      }),
    },
    { config, languageModel: lm },
  );
  const feeds = Object.fromEntries(
    Object.entries(takeAll(fixture, 'in.')).map(([name, v]) => {
      if (v.dtype === 'float32') return [name, v];
      const cut = ['input_ids', 'attention_mask'].includes(name) || (name === 'labels' && lm.kind === 'decoder');
      const recorded = int64(v, cut ? Q : 0);
      return [name, name.startsWith('qformer_') ? recorded : withOthers(recorded, texts)];
    }),
  );
  const weights = Array.from({ length: shape('labels')[0]! * texts }, (_, row) => (row % texts === 0 ? 1 : 0));
  return { p, loss, feeds: texts > 1 ? { ...feeds, weights: floats([weights.length], weights) } : feeds };
}

/** Int32 ids [B, T] as int64, without the first `skip` columns. */
function int64(v: Value, skip: number): Value {
  const [rows, columns] = v.shape as [number, number];
  const kept = toNumbers(v).filter((_, i) => i % columns >= skip);
  return value('int64', [rows, columns - skip], BigInt64Array.from(kept, BigInt));
}

/** Each row [B, T] followed by others of the token 1: [B · texts, T]. */
function withOthers(v: Value, texts: number): Value {
  const [rows, columns] = v.shape as [number, number];
  const ids = toNumbers(v);
  const all = Array.from({ length: rows * texts }, (_, row) =>
    row % texts === 0 ? ids.slice((row / texts) * columns, (row / texts + 1) * columns) : new Array(columns).fill(1),
  );
  return int64s([rows * texts, columns], all.flat());
}

describe.each(Object.entries(runs))('%s', (name, run) => {
  it('gives the loss and the gradients', async () => {
    const fixture = await readFixture(`stage2/${name}.safetensors`);
    const { p, loss, feeds } = await stageTwoGraph(run.checkpoint, fixture);
    const trains = [...p.declared].filter(
      ([n]) => trainsInStageTwo(n) || (run.vision_trainable && n.startsWith('vision_model.')),
    );
    expect(trains.map(([n]) => n).sort()).toEqual([...run.trainable].sort());

    const gradients = differentiate(
      loss,
      trains.map(([, t]) => t),
    );
    const outputs = { loss, ...Object.fromEntries(trains.map(([n], i) => [`grad.${n}`, gradients[i]!])) };
    const { entries } = await Checkpoint.open(goldenPath(`checkpoints/${run.checkpoint}`));
    const session = await compile(outputs, weightsFrom(entries));
    const results: Record<string, Value> = await session.run(feeds);
    expect(relativeError(results.loss!, run.loss)).toBeLessThan(tolerances.loss);
    const golden = takeAll(fixture, 'grad.');
    const { error, name: worst } = gradientError(takeAll(results, 'grad.'), golden);
    expect(error, worst).toBeLessThan(tolerances.gradient);
    await session.release();
  });

  it('gives the loss of one of several texts of an image where the others weigh nothing', async () => {
    const fixture = await readFixture(`stage2/${name}.safetensors`);
    const { loss, feeds } = await stageTwoGraph(run.checkpoint, fixture, 3);
    const { entries } = await Checkpoint.open(goldenPath(`checkpoints/${run.checkpoint}`));
    const session = await compile({ loss }, weightsFrom(entries));
    expect(relativeError((await session.run(feeds)).loss, run.loss)).toBeLessThan(tolerances.loss);
    await session.release();
  });
});
