import { type Blip2Config, type QueryPass, readImage } from '../blip2/index.ts';
import { joinRows, type Value, viewRows } from '../core/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import { imageMemory } from '../models/index.ts';
import { Params } from '../nn/index.ts';
import { compile, type SessionOptions, weightsFrom } from '../runtime/index.ts';

/** A Q-Former, and pictures to see what its queries do with them. */
export interface QueriesOnPictures {
  readonly config: Blip2Config;
  /** The Q-Former, by full names. */
  readonly trained: ReadonlyMap<string, Value>;
  /** Of some tens of training pictures at least: [N, P, Dv]. */
  readonly features: Value;
  readonly session?: SessionOptions | undefined;
}

/** How many pictures the queries read at a time: their keys and values take the memory. */
const atOnce = 32;

/** What `choose` takes of the queries' pass over the pictures, [N, Q, D]. */
export async function readStates(
  { config, trained, features, session }: QueriesOnPictures,
  choose: (pass: QueryPass) => Tensor,
): Promise<Value> {
  const p = new Params();
  const [count, patches, width] = features.shape as [number, number, number];
  const image = input('features', 'float32', ['batch', patches, width]);
  const pass = readImage(p, imageMemory(p.at('qformer'), image, { config: config.qformer_config }), config);
  // The first states have not seen the image yet: the last have, which makes it the graph's input.
  const compiled = await compile({ chosen: choose(pass), last: pass.queries }, weightsFrom(trained), session);
  try {
    const read: Value[] = [];
    for (let row = 0; row < count; row += atOnce) {
      const feeds = { features: viewRows(features, row, Math.min(atOnce, count - row)) };
      read.push((await compiled.run(feeds, { chosen: null })).chosen);
    }
    return joinRows(read);
  } finally {
    await compiled.release();
  }
}
