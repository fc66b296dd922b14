import { z } from 'zod';
import { DataError } from '../core/index.ts';
import { fingerprint } from '../hub/index.ts';
import { featureShape } from '../models/index.ts';
import type { Blip2 } from '../pipelines/index.ts';

/** Of what is written here. A change that older versions cannot read gets the next number. */
export const FORMAT = 1;

const manifest = z.object({
  format: z.literal(FORMAT),
  /** A name for the model's numbers: {@link manifestOf}. */
  model: z.string(),
  /** Q and E: the vectors of a picture. */
  queries: z.int().positive(),
  width: z.int().positive(),
  /** P and Dv: its features. */
  patches: z.int().positive(),
  feature_width: z.int().positive(),
});

/** What an index says about itself. */
export type Manifest = z.infer<typeof manifest>;

const otherFormat = z.object({ format: z.number() });

/** Throws DataError where the JSON is of another version of the format, or no index's. */
export function parseManifest(text: string, where: string): Manifest {
  const json = parseJson(text);
  const found = manifest.safeParse(json);
  if (found.success) return found.data;
  const other = otherFormat.safeParse(json);
  if (other.success && other.data.format !== FORMAT) {
    throw new DataError(
      `${where}: expected an index of format ${FORMAT}, found format ${other.data.format}; add the images to a new index`,
    );
  }
  throw new DataError(`${where}: expected the description of an index, but ${z.prettifyError(found.error)}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Parts of a stage-2 model that no index depends on. */
const languageModel = /^language_(model|projection)\./;

/** The manifest of indexes that a model makes: other weights or another preprocessing, another `model`. */
export async function manifestOf({ files }: Blip2): Promise<Manifest> {
  const { encoder, processor, config, checkpoint } = files;
  const { image_feature_pooling: pooling } = config;
  const { patches, width } = featureShape(encoder, { size: processor.size, pooling });
  const state = new Map([...checkpoint.entries].filter(([name]) => !languageModel.test(name)));
  return {
    format: FORMAT,
    model: await fingerprint({ encoder, processor, pooling, state }),
    queries: config.num_query_tokens,
    width: config.image_text_hidden_size,
    patches,
    feature_width: width,
  };
}

/** Throws DataError where an index was made by another model: their numbers cannot be compared. */
export function checkSameModel(found: Manifest, expected: Manifest, where: string): void {
  if (found.model === expected.model) return;
  throw new DataError(
    `${where}: the index was made by another model (${found.model}, this one is ${expected.model}); ` +
      'name that model, or make a new index',
  );
}
