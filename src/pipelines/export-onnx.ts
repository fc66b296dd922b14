import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../core/index.ts';
import { encodeModel } from '../graph/index.ts';
import { Checkpoint, readTensor, streamSafetensors, writeBytes, writeText } from '../hub/index.ts';
import { weightsFrom } from '../runtime/index.ts';
import { copyText } from './copy-text.ts';
import { openModel } from './model-files.ts';
import { onnxCard } from './onnx-card.ts';
import { onnxGraphs } from './onnx-graphs.ts';

/** The weights of all graphs, each of which refers to its own by their places in this file. */
const weightsFile = 'model.safetensors';

/**
 * Writes a model as ONNX graphs that plain ONNX Runtime runs, with one file of weights beside them, the model's
 * configuration and tokenizers, and a README.md that says how to use them. Throws ConfigError and CheckpointError where
 * the model cannot be read.
 */
export async function exportOnnx(from: string, to: string): Promise<void> {
  const model = await openModel(from);
  const graphs = onnxGraphs(model);
  await mkdir(to, { recursive: true });
  const sources = [...model.checkpoint.entries.values()].map((entry) => ({
    ...entry,
    data: async () => (await readTensor(entry)).data,
  }));
  await streamSafetensors(join(to, weightsFile), sources, { format: 'pt' });
  const { entries } = await Checkpoint.open(to);
  const weights = weightsFrom(new Map([...entries].map(([name, entry]) => [name, { ...entry, file: weightsFile }])));
  const bind = (name: string) => {
    const binding = weights(name);
    if (binding) return binding;
    throw new CheckpointError(`${from}: no tensor ${name}, which a graph needs`);
  };
  const encoded = Object.entries(graphs).map(([name, outputs]) => ({ name, outputs, ...encodeModel(outputs, bind) }));
  for (const { name, bytes } of encoded) await writeBytes(join(to, `${name}.onnx`), bytes);
  await copyText(from, to);
  const { tokenizer, language } = model;
  const tokenizers = language
    ? { '.': language.tokenizer, ...(tokenizer && { qformer_tokenizer: tokenizer }) }
    : { ...(tokenizer && { '.': tokenizer }) };
  for (const [folder, { files }] of Object.entries(tokenizers)) {
    // Padding and truncation in the file are whatever the last program had set.
    const plain = { ...files.tokenizer, padding: null, truncation: null };
    await writeText(join(to, folder, 'tokenizer.json'), `${JSON.stringify(plain)}\n`);
  }
  await writeText(join(to, 'README.md'), onnxCard(model, encoded));
}
