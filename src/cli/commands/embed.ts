import { Command } from 'commander';
import { DataError, joinRows, UsageError, type Value } from '../../core/index.ts';
import { outputTarget, writeSafetensors } from '../../hub/index.ts';
import type { Blip2, Embeddings } from '../../pipelines/index.ts';
import { expandImages, imageInput } from '../images.ts';
import { interruption } from '../interrupt.ts';
import { loadModel, type ModelOptions, withJson, withModel } from '../options.ts';
import { printRecord, withImageProgress } from '../output.ts';

interface Options extends ModelOptions {
  readonly json?: boolean;
  readonly out: string;
  readonly text?: readonly string[];
}

export const embed = withJson(withModel(new Command('embed')))
  .description('write features of images, and of texts and their pairs, to a safetensors file')
  .argument('<path...>', 'files, folders, patterns, or - for standard input')
  .requiredOption('-o, --out <file>', 'where to, e.g. features.safetensors')
  .option('--text <text...>', 'as many texts as images also give text and multimodal features')
  .action(async (paths: string[], options: Options) => {
    await outputTarget(options.out); // refuses a folder before anything is computed
    const images = await expandImages(paths);
    if (options.text && options.text.length !== images.length) {
      throw new UsageError(`--text: expected as many texts as images, ${images.length}, found ${options.text.length}`);
    }
    const model = await loadModel(options);
    const pairs = await embedTexts(model, images, options.text);
    const tensors = { ...(await embedAll(model, images)), ...pairs };
    await writeSafetensors(options.out, tensors, {
      model: options.model,
      images: JSON.stringify(images),
      ...(options.text && { texts: JSON.stringify(options.text) }),
    });
    printRecord({ out: options.out, images: images.length, tensors: Object.keys(tensors) }, options.json, (r) =>
      [`${r.out}: ${r.images} images`, ...r.tensors].join('\n  '),
    );
  });

/** One image after the other, so that memory does not grow with their number. */
async function embedAll(model: Blip2, images: readonly string[]): Promise<Record<string, Value>> {
  return withImageProgress(images.length, async (advance) => {
    const rows: Embeddings[] = [];
    for (const image of images) {
      rows.push(await model.embed({ images: [await imageInput(image)], signal: interruption }));
      advance();
    }
    const names = Object.keys(rows[0] ?? {}) as (keyof Embeddings)[];
    return Object.fromEntries(names.map((name) => [name, joinRows(rows.flatMap((row) => row[name] ?? []))]));
  });
}

async function embedTexts(
  model: Blip2,
  images: readonly string[],
  texts: readonly string[] | undefined,
): Promise<Embeddings> {
  if (!texts) return {};
  if (images.includes('-')) throw new DataError('-: pairs read an image twice; give a file instead');
  const { image_embeds, image_embeds_proj, ...both } = await model.embed({ images, texts, signal: interruption });
  return both;
}
