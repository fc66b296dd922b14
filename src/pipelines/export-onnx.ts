import { join } from 'node:path';
import { CheckpointError } from '../core/index.ts';
import { type Binding, encodeModel } from '../graph/index.ts';
import { Checkpoint, readJsonObject, readTensor, streamSafetensors, writeBytes, writeText } from '../hub/index.ts';
import { type Weights, weightsFrom } from '../runtime/index.ts';
import { copyText } from './copy-text.ts';
import { type ModelFiles, openModel } from './model-files.ts';
import { onnxCard } from './onnx-card.ts';
import { onnxGraphs } from './onnx-graphs.ts';
import { requireFloats } from './quantised-folder.ts';

/** The weights of all graphs, each of which refers to its own by their places in this file. */
const weightsFile = 'model.safetensors';

/**
 * Writes a model as ONNX graphs that plain ONNX Runtime runs, with one file of weights beside them, the model's
 * configuration and tokenizers, and a README.md that says how to use them. Throws ConfigError and CheckpointError where
 * the model cannot be read, UsageError where it was quantised; the signal's reason between tensors.
 */
export async function exportOnnx(
  from: string,
  to: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const model = await openModel(from);
  requireFloats(from, await readJsonObject(join(from, 'config.json')));
  const weights = await writeWeights(model, to, signal);
  const bind = (name: string): Binding => {
    const binding = weights(name);
    if (binding) return binding;
    throw new CheckpointError(`${from}: no tensor ${name}, which a graph needs`);
  };
  const graphs = Object.entries(onnxGraphs(model));
  const encoded = graphs.map(([name, outputs]) => ({ name, outputs, ...encodeModel(outputs, bind) }));
  for (const { name, bytes } of encoded) await writeBytes(join(to, `${name}.onnx`), bytes);
  await copyText(from, to);
  await writeTokenizers(model, to);
  await writeText(join(to, 'README.md'), onnxCard(model, encoded));
}

/** All weights in one file, and where each lies in it, relative to the graphs. */
async function writeWeights({ checkpoint }: ModelFiles, to: string, signal?: AbortSignal): Promise<Weights> {
  const sources = [...checkpoint.entries.values()].map((entry) => ({
    ...entry,
    data: async () => (await readTensor(entry)).data,
  }));
  await streamSafetensors(join(to, weightsFile), sources, { format: 'pt' }, signal);
  const { entries } = await Checkpoint.open(to);
  return weightsFrom(new Map([...entries].map(([name, entry]) => [name, { ...entry, file: weightsFile }])));
}

/** As files that anyone's tokenizers read: padding and truncation in ours are whatever the last program had set. */
async function writeTokenizers({ tokenizer, language }: ModelFiles, to: string): Promise<void> {
  const root = language?.tokenizer ?? tokenizer;
  const folders = { ...(root && { '.': root }), ...(language && tokenizer && { qformer_tokenizer: tokenizer }) };
  for (const [folder, { files }] of Object.entries(folders)) {
    const plain = { ...files.tokenizer, padding: null, truncation: null };
    await writeText(join(to, folder, 'tokenizer.json'), `${JSON.stringify(plain)}\n`);
  }
}
