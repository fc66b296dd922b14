import { ConfigError, DataError, floatToHalf, toFloat32 } from '../core/index.ts';
import type { Blip2 } from '../pipelines/index.ts';
import { type Plan, pictureAt, planOf } from './plan.ts';
import type { Item, Picture, VectorIndex } from './vector-index.ts';

export interface AddOptions {
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Leaves out an image that cannot be used, instead of throwing. */
  readonly onSkip?: ((error: DataError) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What became of the images that were to be added. */
export interface Added {
  readonly added: number;
  /** Files that held something else when they were added before. */
  readonly updated: number;
  /** Files that were moved. */
  readonly renamed: number;
  /** Images that are there already, by their content. */
  readonly unchanged: number;
  /** Images that cannot be used. */
  readonly skipped: number;
}

/** Images that are stored together: an interruption costs these at most. */
const imagesAtOnce = 16;

/**
 * Makes an index hold images as they are now; what is there already is not computed again. Throws DataError naming an
 * image that cannot be used, ConfigError for a model that compares no images with texts; what came before is kept.
 */
export async function addImages(
  { index, model }: { index: VectorIndex; model: Blip2 },
  paths: readonly string[],
  { onProgress, onSkip, signal }: AddOptions = {},
): Promise<Added> {
  const sum = { added: 0, updated: 0, renamed: 0, unchanged: 0, skipped: 0 };
  for (let start = 0; start < paths.length; start += imagesAtOnce) {
    const batch = paths.slice(start, start + imagesAtOnce);
    const { results: pictures, failures: unread } = await tryEach(batch, pictureAt, signal);
    const plan = await planOf(index, pictures);
    const encode = (picture: Picture) => itemOf(model, picture);
    const { results: items, failures: undecoded } = await tryEach(plan.fresh, encode, signal);
    const updated = await apply(index, plan, items);
    const failures = [...unread, ...undecoded];
    sum.added += items.length - updated;
    sum.updated += updated;
    sum.renamed += plan.renamed.length;
    sum.unchanged += pictures.length - plan.fresh.length - plan.renamed.length;
    sum.skipped += failures.length;
    for (const failure of failures) {
      if (!onSkip) throw failure;
      onSkip(failure);
    }
    onProgress?.(start + batch.length, paths.length);
  }
  return sum;
}

/** What `run` gives of each, and the errors of those that cannot be used. */
async function tryEach<T, R>(
  items: readonly T[],
  run: (item: T) => Promise<R>,
  signal: AbortSignal | undefined,
): Promise<{ results: R[]; failures: DataError[] }> {
  const results: R[] = [];
  const failures: DataError[] = [];
  for (const item of items) {
    signal?.throwIfAborted();
    try {
      results.push(await run(item));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      failures.push(error);
    }
  }
  return { results, failures };
}

async function itemOf(model: Blip2, picture: Picture): Promise<Item> {
  const features = await model.encodeImages([picture.file]);
  const { image_embeds_proj: zImage } = await model.embed({ images: features });
  if (!zImage) throw new ConfigError(`${model.files.folder}: the model does not compare images with texts`);
  return { ...picture, vectors: toFloat32(zImage), features: floatToHalf(toFloat32(features)) };
}

/** Carries a plan out and returns how many of its items replace what their files held before. */
async function apply(index: VectorIndex, { renamed, replaced, fresh }: Plan, items: readonly Item[]): Promise<number> {
  const failed = new Set(fresh.map(({ file }) => file));
  for (const { file } of items) failed.delete(file);
  const gone = replaced.filter(({ file }) => !failed.has(file));
  // In this order a crash leaves a picture too many, which the next run removes, and never one too few.
  await index.put(items);
  await index.rename(renamed);
  await index.remove(gone.map(({ id }) => id));
  const files = new Set(gone.map(({ file }) => file));
  return items.filter(({ file }) => files.has(file)).length;
}
