/** Twelve steps of AdamW from the fixture's weights, held against the reference's: rates, losses, norms, parameters. */
import { describe, expect, it } from 'vitest';
import {
  parseBlip2Config,
  stageOneInputs,
  stageOneLosses,
  stageTwoInputs,
  stageTwoLoss,
  trainsInStageTwo,
} from '../../src/blip2/index.ts';
import { floats, toNumbers, type Value, value } from '../../src/core/index.ts';
import { input } from '../../src/graph/index.ts';
import { imageEncoder, languageModel } from '../../src/models/index.ts';
import { Params } from '../../src/nn/index.ts';
import { decays, schedules } from '../../src/optim/index.ts';
import { TrainStep } from '../../src/training/index.ts';
import { absoluteError, readFixture, readJson, relativeError, take, tolerances } from './fixtures.ts';
import { lavisStageOne, type StageOneNames } from './stage-one-names.ts';

interface Hyper {
  lr: number;
  min_lr: number;
  warmup_lr: number;
  warmup_steps: number;
  epochs: number;
  iters_per_epoch: number;
  weight_decay: number;
  betas: [number, number];
  eps: number;
}
interface StageOneStep {
  lr: number;
  loss: number;
  grad_norm: number;
  loss_itc: number;
  loss_itm: number;
  loss_lm: number;
  negative_image_for_text: number[];
  negative_text_for_image: number[];
}
interface Trajectory<S> {
  hyper: Hyper;
  decay: string[];
  runs: Record<string, { steps: S[]; noise_driven_parameters: string[] }>;
}

const scheduleOptions = (h: Hyper) => ({
  initLr: h.lr,
  minLr: h.min_lr,
  warmupLr: h.warmup_lr,
  warmupSteps: h.warmup_steps,
  maxEpoch: h.epochs,
  stepsPerEpoch: h.iters_per_epoch,
});
const optimiserOptions = (h: Hyper) => ({
  beta1: h.betas[0],
  beta2: h.betas[1],
  epsilon: h.eps,
  weightDecay: h.weight_decay,
});

/** One of the batches stacked along the first axis. */
function row(v: Value, i: number): Value {
  const shape = v.shape.slice(1);
  const size = shape.reduce((a, b) => a * b, 1);
  if (v.dtype === 'float32') return floats(shape, v.data.subarray(i * size, (i + 1) * size) as Float32Array);
  return value('int64', shape, BigInt64Array.from(toNumbers(v).slice(i * size, (i + 1) * size), BigInt));
}

describe('stage 1', async () => {
  const names = await readJson<StageOneNames>('stage1/names.json');
  const lavis = lavisStageOne(names);
  const weights = lavis.toHf(await readFixture('stage1/weights_lavis.safetensors'));
  const inputs = await readFixture('trajectory/stage1_inputs.safetensors');
  const golden = await readJson<Trajectory<StageOneStep>>('trajectory/stage1.json');

  it('decays what the reference decays', () => {
    const decayed = [...weights].filter(([name, v]) => decays(name, v.shape)).map(([name]) => name);
    const expected = [...lavis.toHf(Object.fromEntries(golden.decay.map((name) => [name, floats([], [0])]))).keys()];
    expect(decayed.sort()).toEqual(expected.sort());
  });

  it.each([
    ['dist', false],
    ['nodist', true],
  ] as const)('follows the trajectory "%s"', async (name, gatherGradient) => {
    const { steps, noise_driven_parameters } = golden.runs[name]!;
    const [batches, batch, patches, imageWidth] = take(inputs, 'image_embeds').shape as [
      number,
      number,
      number,
      number,
    ];
    const p = new Params();
    const config = parseBlip2Config(lavis.config(weights));
    const { similarities, ...outputs } = stageOneLosses(
      p,
      stageOneInputs({ batch, patches, imageWidth, tokens: take(inputs, 'input_ids').shape[2]! }),
      config,
      { decoderStart: names.config.dec_token_id, gatherGradient },
    );
    const graph = { outputs, declared: p.declared, trains: () => true };
    const train = await TrainStep.create(graph, { initial: weights }, optimiserOptions(golden.hyper));
    const schedule = schedules.linear_warmup_cosine_lr(scheduleOptions(golden.hyper));
    const noise = floats([batch, batch], new Float32Array(batch * batch));
    const offDiagonal = Float32Array.from({ length: batch * batch }, (_, i) => (i % (batch + 1) ? 1 : 0));

    for (const [k, expected] of steps.entries()) {
      const at = k % batches;
      const lr = schedule(k);
      expect(absoluteError(lr, expected.lr)).toBeLessThan(tolerances.trajectory.lr);
      const { outputs: got, gradientNorm } = await train.run(
        {
          imageEmbeds: row(take(inputs, 'image_embeds'), at),
          inputIds: row(take(inputs, 'input_ids'), at),
          attentionMask: row(take(inputs, 'attention_mask'), at),
          negatives: floats([batch, batch], offDiagonal),
          gumbelText: noise,
          gumbelImage: noise,
          hardness: floats([], [1]),
        },
        lr,
      );
      expect(relativeError(got.loss, expected.loss), `loss at ${k}`).toBeLessThan(tolerances.trajectory.loss);
      expect(relativeError(got.itc, expected.loss_itc), `itc at ${k}`).toBeLessThan(tolerances.trajectory.loss);
      expect(relativeError(got.itm, expected.loss_itm), `itm at ${k}`).toBeLessThan(tolerances.trajectory.loss);
      expect(relativeError(got.itg, expected.loss_lm), `itg at ${k}`).toBeLessThan(tolerances.trajectory.loss);
      expect(toNumbers(got.negativeImage)).toEqual(expected.negative_image_for_text);
      expect(toNumbers(got.negativeText)).toEqual(expected.negative_text_for_image);
      expect(relativeError(gradientNorm, expected.grad_norm), `norm at ${k}`).toBeLessThan(
        tolerances.trajectory.gradNorm,
      );
    }
    const final = lavis.toHf(await readFixture(`trajectory/stage1_final_${name}.safetensors`));
    const noisy = new Set(lavis.toHf(Object.fromEntries(noise_driven_parameters.map((n) => [n, noise]))).keys());
    const trained = train.optimiser.parameters;
    expect(Object.keys(trained).sort()).toEqual([...final.keys()].sort());
    for (const [parameter, expected] of final) {
      if (noisy.has(parameter)) continue;
      expect(absoluteError(trained[parameter]!, expected), parameter).toBeLessThan(tolerances.trajectory.parameters);
    }
    await train.release();
  });
});

describe('stage 2', async () => {
  interface Step {
    lr: number;
    loss: number;
    grad_norm: number;
  }
  const golden = await readJson<Trajectory<Step> & { checkpoint: string; no_decay: string[] }>(
    'trajectory/stage2.json',
  );
  const inputs = await readFixture('trajectory/stage2_inputs.safetensors');
  const folder = `checkpoints/${golden.checkpoint}`;
  const json = await readJson<Record<string, Record<string, unknown>>>(`${folder}/config.json`);
  const config = parseBlip2Config(json);
  const Q = config.num_query_tokens;
  const encoder = imageEncoder(json.vision_config!);
  const lm = languageModel(json.text_config!);
  const weights = new Map(Object.entries(await readFixture(folder)));
  const batches = Object.keys(inputs).filter((name) => name.endsWith('.input_ids')).length;

  /** The graph of one batch; its token count is its own. */
  function graphOf(batch: number) {
    const p = new Params();
    const ids = take(inputs, `batch${batch}.input_ids`).shape as [number, number];
    const pixels = take(inputs, 'pixel_values').shape.slice(1);
    const imageEmbeds = encoder.encode(p.at('vision_model'), input('pixelValues', 'float32', [ids[0], ...pixels]));
    const { inputIds, attentionMask, labels } = stageTwoInputs({
      batch: ids[0],
      patches: Number(imageEmbeds.shape[1]),
      imageWidth: Number(imageEmbeds.shape[2]),
      tokens: ids[1] - Q,
    });
    const loss = stageTwoLoss(p, { imageEmbeds, inputIds, attentionMask, labels }, { config, languageModel: lm });
    return { outputs: { loss }, declared: p.declared, trains: trainsInStageTwo };
  }

  /** Ids without the image tokens in front, which stand for the soft prompts. */
  function text(batch: number, name: string): Value {
    const v = take(inputs, `batch${batch}.${name}`);
    const [rows, columns] = v.shape as [number, number];
    const kept = toNumbers(v).filter((_, i) => i % columns >= Q);
    return value('int64', [rows, columns - Q], BigInt64Array.from(kept, BigInt));
  }

  it('trains and decays what the reference does', () => {
    const trained = [...graphOf(0).declared].filter(([name]) => trainsInStageTwo(name));
    const decayed = trained.filter(([name, t]) => decays(name, t.shape.map(Number))).map(([name]) => name);
    expect(decayed.sort()).toEqual([...golden.decay].sort());
    expect(trained.map(([name]) => name).sort()).toEqual([...golden.decay, ...golden.no_decay].sort());
  });

  it.each([
    ['lavis', 'linear_warmup_cosine_lr'],
    ['per_step_cosine', 'per_step_cosine'],
  ] as const)('follows the trajectory "%s"', async (name, scheduleName) => {
    const { steps, noise_driven_parameters } = golden.runs[name]!;
    const schedule = schedules[scheduleName](scheduleOptions(golden.hyper));
    const first = await TrainStep.create(graphOf(0), { initial: weights }, optimiserOptions(golden.hyper));
    const trains = [
      first,
      ...(await Promise.all(Array.from({ length: batches - 1 }, (_, i) => first.sibling(graphOf(i + 1))))),
    ];
    for (const [k, expected] of steps.entries()) {
      const at = k % batches;
      const lr = schedule(k);
      expect(absoluteError(lr, expected.lr)).toBeLessThan(tolerances.trajectory.lr);
      const inputIds = text(at, 'input_ids');
      const rows = inputIds.shape[0]!;
      const images = Array.from({ length: rows }, (_, i) => row(take(inputs, 'pixel_values'), at * rows + i));
      const { outputs, gradientNorm } = await trains[at]!.run(
        {
          pixelValues: floats(
            [rows, ...images[0]!.shape],
            images.flatMap((v) => toNumbers(v)),
          ),
          inputIds,
          attentionMask: text(at, 'attention_mask'),
          labels: text(at, 'labels'),
        },
        lr,
      );
      expect(relativeError(outputs.loss, expected.loss), `loss at ${k}`).toBeLessThan(tolerances.trajectory.loss);
      expect(relativeError(gradientNorm, expected.grad_norm), `norm at ${k}`).toBeLessThan(
        tolerances.trajectory.gradNorm,
      );
    }
    const final = await readFixture(`trajectory/stage2_final_${name}.safetensors`);
    const trained = first.optimiser.parameters;
    expect(Object.keys(trained).sort()).toEqual(Object.keys(final).sort());
    for (const [parameter, expected] of Object.entries(final)) {
      if (noise_driven_parameters.includes(parameter)) continue;
      expect(absoluteError(trained[parameter]!, expected), parameter).toBeLessThan(tolerances.trajectory.parameters);
    }
  });
});
