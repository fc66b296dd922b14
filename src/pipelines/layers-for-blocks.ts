import { floats, toNumbers } from '../core/index.ts';
import { Params } from '../nn/index.ts';
import { isStreamed, type LinearWeight, rowErrors, toleratedRows } from '../quantise/index.ts';
import { compile, weightsFrom } from '../runtime/index.ts';
import { logitsGraph } from './graphs.ts';
import { storedFormat } from './layer-formats.ts';
import type { ModelFiles } from './model-files.ts';
import { encodePrompts } from './write.ts';

/** What a language model reads to see which rows can be rounded in blocks: outliers come with any text. */
const sampleText = 'a photo of two cats and a red car in front of a house, with a tree to the left of it';

/**
 * The int8 layers of a quantised model that would better be kept in blocks: those of the policy whose output moves little
 * enough, measured on a text that the model reads. `largeFrom` as in `formatsOf`.
 */
export async function layersForBlocks(files: ModelFiles, largeFrom?: number): Promise<Set<string>> {
  const { language, checkpoint } = files;
  // An encoder-decoder's long prompt goes through its encoder, where blocks are no faster.
  if (language?.lm.kind !== 'decoder') return new Set();
  const formatOf = (weight: string) => storedFormat(checkpoint, weight);
  const measured = (layer: LinearWeight) => formatOf(layer.name) === 'int8' && isStreamed(layer, largeFrom);
  const errors = rowErrors(logitsGraph(new Params({ path: 'language_model' }), language.lm), formatOf, measured);
  if (errors.size === 0) return new Set();
  const outputName = (weight: string) => `error of ${weight}`; // the weight's own name is taken
  const outputs = Object.fromEntries([...errors].map(([weight, error]) => [outputName(weight), error]));
  const session = await compile(outputs, weightsFrom(checkpoint.entries));
  const { inputIds, attentionMask } = encodePrompts(language, [sampleText]);
  const found = await session.run({
    language_projection: floats([1, 0, language.lm.width], []),
    input_ids: inputIds,
    attention_mask: attentionMask,
  });
  await session.release();
  const errorOf = (weight: string) => toNumbers(found[outputName(weight)]!)[0]!;
  return new Set([...errors.keys()].filter((weight) => errorOf(weight) <= toleratedRows));
}
