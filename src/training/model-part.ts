import { join } from 'node:path';
import { type JsonObject, jsonObject, type StoredTensor } from '../core/index.ts';
import { Checkpoint, readJsonObject } from '../hub/index.ts';

/** The configuration of a model, and its state dict named from its root. */
interface ModelPart {
  readonly config: JsonObject;
  readonly state: ReadonlyMap<string, StoredTensor>;
}

/** Reads a model from a folder of its own, or out of a larger one, which has its configuration as `key`, its weights below `root`. */
export async function readModelPart(
  folder: string,
  { key, root }: { key: 'vision_config' | 'text_config'; root: string },
): Promise<ModelPart> {
  const file = join(folder, 'config.json');
  const json = await readJsonObject(file);
  const checkpoint = await Checkpoint.open(folder);
  const own = checkpoint.below(root);
  return {
    config: json[key] === undefined ? json : jsonObject(json[key], `${file}: ${key}`),
    state: own.size > 0 ? own : checkpoint.entries,
  };
}
