import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CheckpointError, nearest, toFloat32, type Value } from '../core/index.ts';
import { readHeader, readTensor, type SafetensorsHeader, type TensorEntry } from './safetensors.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** The weights of a model on disk: headers are read when it is opened, tensors when they are asked for. */
export class Checkpoint {
  /** The folder or file it was opened from. */
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** What the files' headers say about themselves (`format: pt`, …). */
  readonly metadata: Readonly<Record<string, string>>;

  private constructor(path: string, { entries, metadata }: SafetensorsHeader) {
    this.path = path;
    this.entries = entries;
    this.metadata = metadata;
  }

  /**
   * Opens a safetensors file, a sharded checkpoint's index, or a folder that holds either under its usual name. Throws
   * CheckpointError where there is none, where a shard is missing and where a header is damaged.
   */
  static async open(folderOrFile: string): Promise<Checkpoint> {
    const file = (await isFolder(folderOrFile)) ? await findWeights(folderOrFile) : folderOrFile;
    return new Checkpoint(folderOrFile, file.endsWith('.json') ? await readShards(file) : await readHeader(file));
  }

  /** The safetensors files that its tensors lie in. */
  get files(): ReadonlySet<string> {
    return new Set([...this.entries.values()].map(({ file }) => file));
  }

  /** The entry of a tensor. Throws CheckpointError, with the nearest name, where there is none. */
  entry(name: string): TensorEntry {
    const entry = this.entries.get(name);
    if (entry !== undefined) return entry;
    const near = nearest(name, this.entries.keys());
    throw new CheckpointError(`${this.path}: no tensor ${name}${near === undefined ? '' : `; did you mean ${near}?`}`);
  }

  /** The tensors whose names begin with `root`, named from there. */
  below(root: string): Map<string, TensorEntry> {
    const own = [...this.entries].filter(([name]) => name.startsWith(root));
    return new Map(own.map(([name, entry]) => [name.slice(root.length), entry]));
  }

  /** One tensor, in the type it is stored in. */
  read(name: string): Promise<Value> {
    return readTensor(this.entry(name));
  }

  /** One tensor's elements as float32, whatever it is stored in. */
  async readFloat32(name: string): Promise<Float32Array> {
    return toFloat32(await this.read(name));
  }

  /** Every tensor by name: for checkpoints that fit in memory. */
  async readAll(): Promise<Record<string, Value>> {
    const all: Record<string, Value> = {};
    for (const name of this.entries.keys()) all[name] = await this.read(name);
    return all;
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new CheckpointError(`${path}: no such checkpoint file or folder`, { cause });
  }
}

async function findWeights(folder: string): Promise<string> {
  const names = await readdir(folder);
  for (const name of [SINGLE, INDEX]) if (names.includes(name)) return join(folder, name);
  const pickle = names.find((name) => /\.(bin|pth?|ckpt)$/.test(name));
  if (pickle !== undefined) throw new CheckpointError(pickleMessage(folder, pickle));
  throw new CheckpointError(`${folder}: no weights; expected ${SINGLE} or ${INDEX} in the folder`);
}

function pickleMessage(folder: string, pickle: string): string {
  const code = [
    'import torch, safetensors.torch as s',
    `w = torch.load('${pickle}', map_location='cpu', weights_only=True)`,
    `s.save_file({k: v.clone().contiguous() for k, v in w.get('model', w).items()}, '${SINGLE}')`,
  ];
  return `${folder}: ${pickle} is a Python pickle, which can run code when loaded, and is not read here; convert it there once: python -c "${code.join('; ')}"`;
}

async function readShards(index: string): Promise<SafetensorsHeader> {
  const shardOf = await readWeightMap(index);
  const entries = new Map<string, TensorEntry>();
  const metadata: Record<string, string> = {};
  for (const shard of new Set(shardOf.values())) {
    const names = [...shardOf.keys()].filter((name) => shardOf.get(name) === shard);
    const header = await readShard(index, shard, names);
    Object.assign(metadata, header.metadata);
    for (const name of names) {
      const entry = header.entries.get(name);
      if (entry === undefined) throw new CheckpointError(`${index}: tensor ${name} is not in its shard ${shard}`);
      entries.set(name, entry);
    }
  }
  return { entries, metadata };
}

async function readShard(index: string, shard: string, names: readonly string[]): Promise<SafetensorsHeader> {
  const path = join(dirname(index), shard);
  try {
    await stat(path);
  } catch (cause) {
    throw new CheckpointError(`${index}: shard ${shard} (${names.length} tensors) is missing; fetch it again`, {
      cause,
    });
  }
  return readHeader(path);
}

/** The index's map from tensor to shard, which must be a file beside it. */
async function readWeightMap(index: string): Promise<ReadonlyMap<string, string>> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(index, 'utf8'));
  } catch (cause) {
    throw new CheckpointError(`${index}: the index is not JSON; fetch it again`, { cause });
  }
  const weightMap = typeof json === 'object' && json !== null && 'weight_map' in json ? json.weight_map : undefined;
  if (typeof weightMap !== 'object' || weightMap === null) throw new CheckpointError(`${index}: no field weight_map`);
  return new Map(
    Object.entries(weightMap).map(([name, shard]) => {
      if (typeof shard !== 'string' || /[/\\]/.test(shard)) {
        throw new CheckpointError(`${index}: tensor ${name}: shard ${JSON.stringify(shard)} is not a file name`);
      }
      return [name, shard];
    }),
  );
}
