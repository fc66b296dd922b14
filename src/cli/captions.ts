import { DataError } from '../core/index.ts';
import { normalise, type RawImage } from '../image/index.ts';
import type { Blip2, CaptionOptions } from '../pipelines/index.ts';
import type { DecodedImage } from './images.ts';
import type { CaptionRecord } from './record-file.ts';

export interface CaptionsOptions extends Omit<CaptionOptions, 'numReturnSequences'> {
  /** Images that are captioned together. */
  readonly batchSize: number;
  /** Is told what is wrong with an image that is left out; without it, a bad image ends the captions. */
  readonly onBad?: ((error: DataError) => void) | undefined;
}

/**
 * Captions in the order of the images, all of one before those of the next, written a batch at a time. Throws the
 * DataError of a bad image, without `onBad`, after the captions of those before it; the signal's reason between steps.
 */
export async function* captions(
  model: Blip2,
  decoded: AsyncIterable<DecodedImage>,
  { batchSize, onBad, ...options }: CaptionsOptions,
): AsyncGenerator<CaptionRecord, void> {
  const { processor } = model.files;
  for await (const batch of inBatches(decoded, { batchSize, onBad })) {
    options.signal?.throwIfAborted();
    const pixelValues = normalise(
      batch.map(({ pixels }) => pixels),
      processor,
    );
    const written = await model.caption(pixelValues, options);
    const each = written.length / batch.length;
    yield* written.map(({ text, score }, i) => ({ image: batch[Math.floor(i / each)]!.image, caption: text, score }));
  }
}

type GoodImage = { readonly image: string; readonly pixels: RawImage };

/** Batches of the good images. The last is smaller, as is the one that an error cuts off. */
async function* inBatches(
  decoded: AsyncIterable<DecodedImage>,
  { batchSize, onBad }: Pick<CaptionsOptions, 'batchSize' | 'onBad'>,
): AsyncGenerator<readonly GoodImage[], void> {
  let batch: GoodImage[] = [];
  for await (const item of decoded) {
    if ('pixels' in item) {
      batch.push(item);
      if (batch.length < batchSize) continue;
      yield batch;
      batch = [];
    } else if (onBad && item.error instanceof DataError) {
      onBad(item.error);
    } else {
      if (batch.length > 0) yield batch;
      throw item.error;
    }
  }
  if (batch.length > 0) yield batch;
}
