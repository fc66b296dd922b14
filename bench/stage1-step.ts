import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBlip2Config, stageOneInputs, stageOneLosses } from '../src/blip2/index.ts';
import {
  elements,
  floats,
  int64s,
  type Random,
  RuntimeError,
  random,
  toFloat32,
  type Value,
} from '../src/core/index.ts';
import { writeSafetensors } from '../src/hub/index.ts';
import { Params } from '../src/nn/index.ts';
import type { Feeds } from '../src/runtime/index.ts';
import { TrainStep } from '../src/training/index.ts';
import { type Claim, compare, lessIsBetter, type Row, seconds } from './measure.ts';
import { Peer } from './peer.ts';

/** A Q-Former, a batch and how it is trained, under the names that configurations have for them. */
export const paper = {
  batch: 16,
  tokens: 32,
  patches: 257,
  num_query_tokens: 32,
  image_text_hidden_size: 256,
  num_hidden_layers: 12,
  hidden_size: 768,
  num_attention_heads: 12,
  intermediate_size: 3072,
  cross_attention_frequency: 2,
  encoder_hidden_size: 1408,
  max_position_embeddings: 512,
  layer_norm_eps: 1e-12,
  vocab_size: 30_523,
  threads: 2,
  lr: 1e-4,
};
type Setting = typeof paper;

const small: Setting = {
  ...paper,
  batch: 5,
  tokens: 7,
  patches: 10,
  num_query_tokens: 4,
  image_text_hidden_size: 8,
  num_hidden_layers: 3,
  hidden_size: 32,
  num_attention_heads: 4,
  intermediate_size: 64,
  encoder_hidden_size: 24,
  max_position_embeddings: 16,
  vocab_size: 50,
  lr: 1e-3,
};

/** A stage-1 step at the paper's size: ITC + ITM + ITG, backward, AdamW. */
export const stageOneStep: Claim = {
  description: 'a stage-1 training step at BERT-base size beside the reference in PyTorch, fp32 and bf16',
  async *run(): AsyncIterable<Row> {
    await checkSameLosses(small);
    const ours = await randomStep(paper);
    for (const [name, precision] of [
      ['stage1-step', 'fp32'],
      ['stage1-step-vs-bf16', 'bf16'],
    ] as const) {
      const peer = Peer.start('stage1_step.py', { ...paper, precision });
      yield await compare(
        { name, unit: 's', rounds: 3 },
        () => seconds(ours),
        async () => (await peer.ask('step')).seconds!,
      );
      if (precision === 'fp32') {
        const gigabytes = (process.resourceUsage().maxRSS * 1024) / 1e9;
        yield lessIsBetter(
          { name: 'stage1-step-memory', unit: 'GB' },
          gigabytes,
          (await peer.ask('memory')).gigabytes!,
        );
      }
      await peer.close();
    }
  },
};

interface State {
  readonly parameters: ReadonlyMap<string, Value>;
  readonly imageEmbeds: Value<'float32'>;
  readonly inputIds: Value<'int64'>;
}

/** Both train from the same weights on the same batch; if they compute the same, their losses stay together. */
async function checkSameLosses(s: Setting): Promise<void> {
  const state = drawState(s);
  const folder = mkdtempSync(join(tmpdir(), 'stage1-step-'));
  try {
    const file = join(folder, 'state.safetensors');
    const inputs = { 'in.image_embeds': state.imageEmbeds, 'in.input_ids': state.inputIds };
    await writeSafetensors(file, [...state.parameters, ...Object.entries(inputs)]);
    const ours = await createStep(s, state);
    const peer = Peer.start('stage1_step.py', { ...s, precision: 'fp32', state: file });
    for (let step = 1; step <= 3; step++) {
      const [loss, expected] = [await ours(), (await peer.ask('step')).loss!];
      if (!(Math.abs(loss - expected) < 1e-4 * expected)) {
        throw new RuntimeError(`stage1-step: step ${step} has the loss ${loss}, in PyTorch ${expected}`);
      }
    }
    await peer.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Our step from random weights, as `createStep` gives it. */
export const randomStep = (s: Setting): Promise<() => Promise<number>> => createStep(s, drawState(s));

/** Our step, compiled: each call makes one update and returns the loss before it. */
async function createStep(s: Setting, { parameters, imageEmbeds, inputIds }: State): Promise<() => Promise<number>> {
  const { declared, outputs } = graphOf(s);
  const graph = { outputs, declared, trains: () => true };
  const train = await TrainStep.create(graph, { initial: parameters }, { session: { threads: s.threads } });
  const pairs = [s.batch, s.batch];
  const offDiagonal = Array.from({ length: elements(pairs) }, (_, i) => (i % (s.batch + 1) === 0 ? 0 : 1));
  const noise = floats(pairs, new Float32Array(elements(pairs)));
  const feeds: Feeds = {
    imageEmbeds,
    inputIds,
    attentionMask: int64s(inputIds.shape, Array(inputIds.data.length).fill(1)),
    negatives: floats(pairs, offDiagonal),
    gumbelText: noise,
    gumbelImage: noise,
    hardness: floats([], [1]),
  };
  return async () => toFloat32((await train.run(feeds, s.lr)).outputs.loss)[0]!;
}

function graphOf(s: Setting) {
  const p = new Params();
  const config = parseBlip2Config({ ...s, qformer_config: s });
  const inputs = stageOneInputs({ ...s, imageWidth: s.encoder_hidden_size });
  const { loss } = stageOneLosses(p, inputs, config, { decoderStart: s.vocab_size - 1 });
  return { declared: p.declared, outputs: { loss } };
}

/** Weights and a batch at random. */
function drawState(s: Setting): State {
  const draws = random(0, 'stage1-step');
  const parameters = [...graphOf(s).declared].map(([name, t]) => {
    return [name, drawParameter(name, t.shape.map(Number), draws)] as const;
  });
  const image = [s.batch, s.patches, s.encoder_hidden_size];
  const ids = [s.batch, s.tokens];
  return {
    parameters: new Map(parameters),
    imageEmbeds: fill(image, () => draws.normal()),
    inputIds: int64s(
      ids,
      Array.from({ length: elements(ids) }, () => draws.below(s.vocab_size - 1)),
    ),
  };
}

function drawParameter(name: string, shape: readonly number[], draws: Random): Value<'float32'> {
  if (name === 'temp') return fill(shape, () => 0.07);
  if (/layernorm\.weight$/i.test(name)) return fill(shape, () => 1);
  return fill(shape, () => (draws.uint32() / 2 ** 32 - 0.5) / 10);
}

const fill = (shape: readonly number[], next: () => number): Value<'float32'> =>
  floats(shape, Float32Array.from({ length: elements(shape) }, next));
