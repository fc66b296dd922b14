import { floats, toNumbers } from '../core/index.ts';
import { Params } from '../nn/index.ts';
import { isStreamed, type LinearWeight, type RowFormat, rowErrors, toleratedRows } from '../quantise/index.ts';
import { compile, weightsFrom } from '../runtime/index.ts';
import { logitsGraph } from './graphs.ts';
import { storedFormat } from './layer-formats.ts';
import type { ModelFiles } from './model-files.ts';
import { encodePrompts } from './write.ts';

/** What a language model reads to see which rows can be rounded in blocks: outliers come with any text. */
const sampleText = 'a photo of two cats and a red car in front of a house, with a tree to the left of it';

interface RowFormatOptions {
  /** As in `formatsOf`. */
  readonly largeFrom?: number | undefined;
  /** Whether layers are kept for many rows as well: a folder of pictures, where all of the language model is in int8. */
  readonly forManyRows: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The int8 layers of a quantised model that would better be kept in other formats, and in which: those of the policy whose
 * output moves little enough where their rows are rounded so, measured on a text that the model reads. Throws the signal's
 * reason before and after the graph that measures is compiled.
 */
export async function rowFormats(
  files: ModelFiles,
  { largeFrom, forManyRows, signal }: RowFormatOptions,
): Promise<Map<string, readonly RowFormat[]>> {
  const { language, checkpoint } = files;
  // An encoder-decoder's long prompt goes through its encoder, where blocks are no faster.
  if (language?.lm.kind !== 'decoder') return new Map();
  const formatOf = (weight: string) => storedFormat(checkpoint, weight);
  const measured = (layer: LinearWeight) => formatOf(layer.name) === 'int8' && isStreamed(layer, largeFrom);
  const errors = rowErrors(logitsGraph(new Params({ path: 'language_model' }), language.lm), formatOf, measured);
  if (errors.size === 0) return new Map();
  const outputName = (weight: string, format: RowFormat) => `error of ${weight} in ${format}`;
  const outputs = [...errors].flatMap(([weight, { int8_blocks, int8_columns }]) => [
    [outputName(weight, 'int8_blocks'), int8_blocks],
    ...(forManyRows ? [[outputName(weight, 'int8_columns'), int8_columns]] : []),
  ]);
  signal?.throwIfAborted();
  // It runs once: weights are read where they lie instead of repacked, and its threads do not wait for more.
  const options = { mapped: true, spinning: false };
  const session = await compile<string>(Object.fromEntries(outputs), weightsFrom(checkpoint.entries), options);
  const { inputIds, attentionMask } = encodePrompts(language, [sampleText]);
  const measure = () =>
    session.run({
      language_projection: floats([1, 0, language.lm.width], []),
      input_ids: inputIds,
      attention_mask: attentionMask,
    });
  let found: Awaited<ReturnType<typeof measure>>;
  try {
    signal?.throwIfAborted();
    found = await measure();
  } finally {
    await session.release();
  }
  const tolerates = (weight: string, format: RowFormat) =>
    toNumbers(found[outputName(weight, format)]!)[0]! <= toleratedRows;
  const inBlocks = [...errors.keys()].filter((weight) => tolerates(weight, 'int8_blocks'));
  return new Map(
    inBlocks.map((weight) => [
      weight,
      forManyRows && tolerates(weight, 'int8_columns') ? ['int8_blocks', 'int8_columns'] : ['int8_blocks'],
    ]),
  );
}
