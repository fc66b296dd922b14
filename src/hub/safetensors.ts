import { type FileHandle, open } from 'node:fs/promises';
import {
  CheckpointError,
  type DType,
  dtypeOfSafetensors,
  dtypes,
  elements,
  fromBytes,
  type TypedArray,
  type Value,
  value,
} from '../core/index.ts';
import { writeAtomically } from './atomic.ts';
import { readExactly } from './read-exactly.ts';

/** Where one tensor lies: `byteLength` bytes of `file`, from byte `offset` of the whole file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** What a safetensors file says about itself before its data. */
export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor to be written: its data is asked for when its turn comes, so that one tensor at a time is in memory. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  data(): TypedArray | Promise<TypedArray>;
}

/** The reference implementation's limit: a longer header is not a header. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * The header of a safetensors file: eight bytes of length (little endian), then JSON. Throws CheckpointError, naming
 * the file and the tensor, where the file is truncated, the JSON is bad or tensors overlap or leave gaps.
 */
export async function readHeader(path: string): Promise<SafetensorsHeader> {
  const file = await openCheckpoint(path);
  try {
    const { size } = await file.stat();
    if (size < 8)
      throw new CheckpointError(`${path}: ${size} bytes are too few for a safetensors file; fetch it again`);
    const length = Number(new DataView((await readExactly(file, 0, 8)).buffer).getBigUint64(0, true));
    if (length > MAX_HEADER_BYTES || length > size - 8) {
      throw new CheckpointError(
        `${path}: the header claims ${length} bytes of a ${size}-byte file; it is truncated or not safetensors`,
      );
    }
    const text = new TextDecoder().decode(await readExactly(file, 8, length));
    return parseHeader(path, text, { start: 8 + length, size });
  } finally {
    await file.close();
  }
}

function parseHeader(path: string, text: string, data: { start: number; size: number }): SafetensorsHeader {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${path}: the header is not JSON; the file is damaged or not safetensors`, { cause });
  }
  if (!isRecord(json)) throw new CheckpointError(`${path}: the header is not a JSON object`);
  const { __metadata__: metadata = {}, ...tensors } = json;
  if (!isRecord(metadata) || !Object.values(metadata).every((v) => typeof v === 'string')) {
    throw new CheckpointError(`${path}: __metadata__ must map words to strings`);
  }
  const entries = Object.entries(tensors).map(([name, description]) =>
    parseEntry({ path, name, start: data.start }, description),
  );
  checkLayout(path, entries, data);
  return {
    entries: new Map(entries.map((entry) => [entry.name, entry])),
    metadata: Object.fromEntries(Object.entries(metadata).map(([key, v]) => [key, String(v)])),
  };
}

function parseEntry(at: { path: string; name: string; start: number }, description: unknown): TensorEntry {
  const fail = (what: string) => new CheckpointError(`${at.path}: tensor ${at.name}: ${what}`);
  if (!isRecord(description)) throw fail('its header entry is not an object');
  const { dtype: dtypeName, shape, data_offsets: offsets } = description;
  const dtype = dtypeOfSafetensors(String(dtypeName));
  if (dtype === undefined) {
    const known = Object.values(dtypes).map((d) => d.safetensors);
    throw fail(`dtype ${dtypeName} is not supported; supported are ${known.join(', ')}`);
  }
  if (!isSizes(shape)) throw fail(`shape ${JSON.stringify(shape)} is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2)
    throw fail(`data_offsets ${JSON.stringify(offsets)} is not [begin, end]`);
  const [begin = 0, end = 0] = offsets;
  const byteLength = elements(shape) * dtypes[dtype].bytes;
  if (end - begin !== byteLength) {
    throw fail(`${dtype}[${shape}] takes ${byteLength} bytes, its data_offsets [${begin}, ${end}] hold ${end - begin}`);
  }
  return { name: at.name, dtype, shape, file: at.path, offset: at.start + begin, byteLength };
}

/** The format's rule: the tensors, in the order of their offsets, fill the data without overlap, gap or remainder. */
function checkLayout(path: string, entries: readonly TensorEntry[], data: { start: number; size: number }): void {
  let end = data.start;
  for (const entry of [...entries].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (entry.offset !== end) {
      const how = entry.offset < end ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw new CheckpointError(`${path}: tensor ${entry.name}: begins at byte ${entry.offset}, which ${how}`);
    }
    end += entry.byteLength;
    if (end > data.size) {
      throw new CheckpointError(
        `${path}: tensor ${entry.name}: ends at byte ${end} of a ${data.size}-byte file; it is truncated: fetch it again`,
      );
    }
  }
  if (end !== data.size) throw new CheckpointError(`${path}: ${data.size - end} bytes follow the last tensor`);
}

/** The data of one tensor. Throws CheckpointError where the file has become shorter than its header said. */
export async function readTensor(entry: TensorEntry): Promise<Value> {
  const file = await openCheckpoint(entry.file);
  try {
    const bytes = await readExactly(file, entry.offset, entry.byteLength);
    return value(entry.dtype, entry.shape, fromBytes(entry.dtype, bytes));
  } catch (cause) {
    throw new CheckpointError(`${entry.file}: tensor ${entry.name}: ${reasonOf(cause)}`, { cause });
  } finally {
    await file.close();
  }
}

/** Writes values to a safetensors file, atomically. `metadata` becomes its `__metadata__`. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [name: string, tensor: Value]> | Readonly<Record<string, Value>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const pairs = Symbol.iterator in tensors ? [...tensors] : Object.entries(tensors);
  const sources = pairs.map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, data: () => data }));
  await streamSafetensors(path, sources, metadata);
}

/**
 * Writes a safetensors file atomically, asking each source for its data only when its turn comes. The order is that of
 * the reference implementation, larger elements first, so that every tensor is aligned to its own element size. Throws
 * the signal's reason between two tensors; nothing is left then.
 */
export async function streamSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<void> {
  const sorted = [...tensors].sort((a, b) => dtypes[b.dtype].bytes - dtypes[a.dtype].bytes);
  await writeAtomically(path, async (write) => {
    await write(encodeHeader(path, sorted, metadata));
    for (const { name, dtype, shape, data } of sorted) {
      signal?.throwIfAborted();
      const array = await data();
      if (array.length !== elements(shape) || array.BYTES_PER_ELEMENT !== dtypes[dtype].bytes) {
        throw new CheckpointError(`${path}: tensor ${name}: ${array.length} elements do not make ${dtype}[${shape}]`);
      }
      await write(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    }
  });
}

function encodeHeader(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set('__metadata__', metadata);
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    if (header.has(name)) throw new CheckpointError(`${path}: tensor ${name} is written twice`);
    const begin = end;
    end += elements(shape) * dtypes[dtype].bytes;
    header.set(name, { dtype: dtypes[dtype].safetensors, shape, data_offsets: [begin, end] });
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}

async function openCheckpoint(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw new CheckpointError(`${path}: cannot be opened: ${reasonOf(cause)}`, { cause });
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

const isSizes = (v: unknown): v is number[] => Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && n >= 0);
