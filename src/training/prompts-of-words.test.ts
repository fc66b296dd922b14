import { expect, it } from 'vitest';
import { parseBlip2Config, readImage } from '../blip2/index.ts';
import { elements, floats, type JsonObject, random, toFloat32, type Value } from '../core/index.ts';
import type { ImageTextRecord } from '../data/index.ts';
import { input } from '../graph/index.ts';
import { imageEncoder, imageMemory } from '../models/index.ts';
import { linear, Params } from '../nn/index.ts';
import { compile, weightsFrom } from '../runtime/index.ts';
import { bertFiles } from '../text/index.ts';
import { languageModelOf } from './language-model.ts';
import { promptsOfWords } from './prompts-of-words.ts';

const [patches, width, wordWidth, queries, batch, steps] = [4, 12, 16, 3, 8, 12];
const kinds = ['cat', 'dog', 'sun', 'key'];
const config = parseBlip2Config({
  num_query_tokens: queries,
  qformer_config: {
    hidden_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 32,
    encoder_hidden_size: width,
    vocab_size: 10,
  },
});
const draws = random(5, 'prompts of words test');
const normal = (shape: number[], scale: number) =>
  floats(
    shape,
    Float32Array.from({ length: elements(shape) }, () => scale * draws.normal()),
  );

/** The prompts that a language model is given of pictures. */
function promptGraph() {
  const p = new Params();
  const image = input('image', 'float32', ['batch', patches, width]);
  const { queries: states } = readImage(
    p,
    imageMemory(p.at('qformer'), image, { config: config.qformer_config }),
    config,
  );
  return { outputs: { prompts: linear(p.at('language_projection'), states, wordWidth) }, declared: p.declared };
}
const { outputs, declared } = promptGraph();
const trained = new Map(
  [...declared]
    .filter(([name]) => !name.startsWith('language_projection.'))
    .map(([name, { shape }]) => [name, normal(shape.map(Number), 0.3)]),
);

const files = bertFiles(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', ...kinds]);
const embeddings = normal([6 + kinds.length, wordWidth], 0.7);
const language = {
  ...languageModelOf({
    config: {
      model_type: 'llama',
      vocab_size: 6 + kinds.length,
      hidden_size: wordWidth,
      num_hidden_layers: 1,
      num_attention_heads: 1,
      intermediate_size: 8,
      eos_token_id: 4,
    },
    state: new Map(),
    files,
  }),
  stored: new Map([['language_model.model.embed_tokens.weight', embeddings]]),
};

/** Pictures that show by their features of what kind they are. */
const looks = kinds.map(() => normal([patches, width], 1).data);
function picturesOf(shown: readonly number[]): Value<'float32'> {
  const features = normal([shown.length, patches, width], 0.1);
  for (const [i, kind] of shown.entries()) {
    for (const [j, x] of looks[kind]!.entries()) features.data[i * patches * width + j]! += x;
  }
  return features;
}

const records = kinds.map(
  (kind): ImageTextRecord => ({
    id: kind,
    imageId: kind,
    image: { kind: 'file', path: `${kind}.png` },
    captions: [`a ${kind}`],
  }),
);
const training = {
  images: { initial: async () => new Map<string, Value>() },
  async at(step: number) {
    const shown = Array.from({ length: batch }, (_, i) => (step + i) % kinds.length);
    const items = shown.map((kind) => ({ record: records[kind]!, dataset: 0, epoch: 0, index: kind, unit: kind }));
    return { items, imageFeeds: { imageEmbeds: picturesOf(shown) }, name: '' };
  },
};

const encoder: JsonObject = {
  model_type: 'dinov2',
  hidden_size: width,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  image_size: 28,
  patch_size: 14,
};

it('puts the prompts of a picture nearest to the word of its caption, and lets them vary as words do', async () => {
  const images = { pooling: 1, encoder: imageEncoder(encoder) };
  const run = { max_steps: steps, batch_size_train: batch, accum_grad_iters: 1, memory_arena: true };
  const text = ({ record }: { readonly record: ImageTextRecord }) => record.captions[0]!;
  const prompted = { config, trained, images, language, text };
  const started = await promptsOfWords(prompted, training, { run, signal: undefined });
  for (const [name, value] of trained) expect(started.get(name)).toBe(value);
  const stopped = { run, signal: AbortSignal.abort(new Error('stop')) };
  await expect(promptsOfWords(prompted, training, stopped)).rejects.toThrow('stop');

  const session = await compile(outputs, weightsFrom(started));
  const shown = kinds.map((_, kind) => kind);
  const prompts = toFloat32((await session.run({ image: picturesOf(shown) })).prompts);
  await session.release();
  const row = (data: Float32Array, i: number) => data.subarray(i * wordWidth, (i + 1) * wordWidth);
  const wordOf = (kind: number) => row(embeddings.data, 6 + kind);
  const caption = (kind: number) => wordOf(kind).map((x, i) => (x + row(embeddings.data, 5)[i]!) / 2);
  const middle = mean(shown.map(caption));
  for (const kind of shown) {
    for (let query = 0; query < queries; query++) {
      const prompt = row(prompts, kind * queries + query);
      const likeness = shown.map((other) => cosine(less(prompt, middle), less(caption(other), middle)));
      expect(likeness.indexOf(Math.max(...likeness))).toBe(kind);
      expect(likeness[kind]).toBeGreaterThan(0.8);
    }
  }
  const words = [5, ...shown.map((kind) => 6 + kind)].map((token) => row(embeddings.data, token));
  const all = Array.from({ length: prompts.length / wordWidth }, (_, i) => row(prompts, i));
  expect(spread(all, middle) / spread(words, mean(words))).toBeGreaterThan(0.85);
  expect(spread(all, middle) / spread(words, mean(words))).toBeLessThan(1.15);
});

const less = (x: Float32Array, y: Float32Array) => x.map((v, i) => v - y[i]!);
const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, v, i) => sum + v * y[i]!, 0);
const cosine = (x: Float32Array, y: Float32Array) => dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
const mean = (rows: readonly Float32Array[]) =>
  rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]! / rows.length, 0));
const spread = (rows: readonly Float32Array[], middle: Float32Array) =>
  Math.sqrt(mean(rows.map((row) => less(row, middle).map((x) => x * x))).reduce((a, b) => a + b) / middle.length);
