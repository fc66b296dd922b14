import type { ModelInput, Outputs } from '../graph/index.ts';
import { showType } from '../graph/index.ts';
import type { ModelFiles } from './model-files.ts';
import { onnxExample } from './onnx-example.ts';

export interface ExportedGraph {
  /** Of its file, without `.onnx`. */
  readonly name: string;
  readonly inputs: readonly ModelInput[];
  readonly outputs: Outputs;
}

/** What each file is, in a sentence. */
const purposes: Readonly<Record<string, string>> = {
  vision_model: 'Pictures to what the Q-Former reads of them, `image_embeds`.',
  qformer: "The queries on a picture, and what the model's heads make of them.",
  text_model:
    'Texts in the space that they share with pictures: the first token of `text_embeds_proj` stands for a text.',
  itm: 'Logits of "no match, match" for texts and the pictures in their rows `image_rows`.',
  embed_tokens: 'The rows of the word embedding.',
  encoder_model: 'The encoder, with the keys and values that every step of the decoder reads.',
  decoder_model_merged:
    'The decoder, with and without a past: before the first step `past_key_values.*` have length 0.',
};

/** The README.md of an ONNX export: its files, their inputs and outputs, and a program that uses them. */
export function onnxCard(model: ModelFiles, graphs: readonly ExportedGraph[]): string {
  const sections = graphs.map(({ name, inputs, outputs }) =>
    [
      `### \`${name}.onnx\``,
      purposes[name],
      'Inputs:',
      list(inputs.map((each) => [each.name, showType(each)])),
      'Outputs:',
      list(Object.entries(outputs).map(([output, tensor]) => [output, showType(tensor)])),
    ].join('\n\n'),
  );
  return `${[
    '---\nlibrary_name: onnx\npipeline_tag: image-text-to-text\ntags: [blip-2, onnx]\n---',
    '# BLIP-2 as ONNX graphs',
    'Graphs of operator set 21 (and of `com.microsoft`, which ONNX Runtime has built in). Their weights are in ' +
      '`model.safetensors`, which has to stay beside them. Pictures are prepared as `preprocessor_config.json` says.',
    '## A program',
    onnxExample(model),
    '## Files',
    ...sections,
  ].join('\n\n')}\n`;
}

/** One line each; the layers of a cache share one. */
function list(entries: readonly (readonly [name: string, type: string])[]): string {
  const lines = entries.map(([name, type]) => `- \`${name.replace(/\.\d+\./, '.N.')}\` ${type}`);
  return [...new Set(lines)].join('\n');
}
