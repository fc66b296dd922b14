import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, type DType, dtypes, elements, floats, fromBytes, type Value, value } from '../core/index.ts';
import { Checkpoint, streamSafetensors, writeJson, writeSafetensors } from './index.ts';
import { readHeader } from './safetensors.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tensor: fc.Arbitrary<Value> = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(dtypes) as DType[])),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  })
  .chain(({ dtype, shape }) => {
    const length = elements(shape) * dtypes[dtype].bytes;
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => value(dtype, shape, fromBytes(dtype, bytes)));
  });

const bytesOf = ({ data }: Value) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

/** A file with this header text, and `dataBytes` zeros behind it. */
async function fileWithHeader(name: string, header: string, dataBytes: number): Promise<string> {
  const path = join(folder, name);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await writeFile(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]));
  return path;
}

describe('a safetensors file', () => {
  it('gives back what was written, each tensor aligned to its element size', async () => {
    const path = join(folder, 'round-trip.safetensors');
    const names = fc.dictionary(fc.string({ minLength: 1 }), tensor, { maxKeys: 6 });
    await fc.assert(
      fc.asyncProperty(names, fc.dictionary(fc.string(), fc.string()), async (tensors, metadata) => {
        await writeSafetensors(path, tensors, metadata);
        const checkpoint = await Checkpoint.open(path);
        expect(new Map(Object.entries(checkpoint.metadata))).toEqual(new Map(Object.entries(metadata)));
        expect([...checkpoint.entries.keys()].sort()).toEqual(Object.keys(tensors).sort());
        for (const [name, expected] of Object.entries(tensors)) {
          const entry = checkpoint.entry(name);
          expect(entry.offset % dtypes[entry.dtype].bytes).toBe(0);
          const read = await checkpoint.read(name);
          expect([read.dtype, read.shape]).toEqual([expected.dtype, expected.shape]);
          expect(bytesOf(read)).toEqual(bytesOf(expected));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('asks for one tensor after the other, and appears only when it is whole', async () => {
    const path = join(folder, 'atomic.safetensors');
    await writeSafetensors(path, { old: floats([1], [1]) });
    const seen: string[] = [];
    const source = (name: string, data: () => Float32Array) => ({
      name,
      dtype: 'float32' as const,
      shape: [2],
      data: () => {
        seen.push(name);
        return data();
      },
    });
    const failing = streamSafetensors(path, [
      source('a', () => Float32Array.of(1, 2)),
      source('b', () => Float32Array.of(1)),
      source('c', () => Float32Array.of(1, 2)),
    ]);
    await expect(failing).rejects.toThrow(/tensor b: 1 elements/);
    expect(seen).toEqual(['a', 'b']);
    expect([...(await Checkpoint.open(path)).entries.keys()]).toEqual(['old']);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('is refused at whatever byte it is cut', async () => {
    const path = join(folder, 'cut.safetensors');
    await writeSafetensors(path, { first: floats([3], [1, 2, 3]), second: floats([2, 2], [1, 2, 3, 4]) });
    const whole = await readFile(path);
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      await expect(Checkpoint.open(path), `${length} bytes`).rejects.toThrow(CheckpointError);
    }
    await expect(Checkpoint.open(path)).rejects.toThrow(/cut\.safetensors: tensor second: .*truncated/);
  });

  it('that shrinks after it was opened names the tensor', async () => {
    const path = join(folder, 'shrunk.safetensors');
    await writeSafetensors(path, { weight: floats([64], Array(64).fill(1)) });
    const checkpoint = await Checkpoint.open(path);
    await truncate(path, 100);
    await expect(checkpoint.read('weight')).rejects.toThrow(/shrunk\.safetensors: tensor weight: the file ends/);
  });

  it.each([
    ['bad JSON', '{"a": ', 0, /header is not JSON/],
    ['a list', '[]', 0, /not a JSON object/],
    ['an unknown dtype', '{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', 1, /tensor a: dtype F8_E4M3/],
    ['a negative size', '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4, /tensor a: shape \[-1\]/],
    [
      'sizes that differ',
      '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
      4,
      /tensor a: float32\[2\] takes 8/,
    ],
    [
      'overlapping tensors',
      '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}',
      6,
      /tensor b: .*overlaps/,
    ],
    ['a gap', '{"a":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}', 6, /tensor a: .*gap/],
    ['bytes left over', '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 6, /2 bytes follow/],
  ])('with %s is refused by name', async (what, header, dataBytes, message) => {
    const path = await fileWithHeader(`${what}.safetensors`, header, dataBytes);
    await expect(readHeader(path)).rejects.toThrow(message);
    await expect(readHeader(path)).rejects.toThrow(path);
  });
});

describe('a checkpoint folder', () => {
  it('joins the shards of its index, and names one that is missing', async () => {
    const sharded = join(folder, 'sharded');
    await writeSafetensors(join(sharded, 'one.safetensors'), { a: floats([1], [1]) });
    const index = { metadata: {}, weight_map: { a: 'one.safetensors', b: 'two.safetensors' } };
    await writeJson(join(sharded, 'model.safetensors.index.json'), index);
    await expect(Checkpoint.open(sharded)).rejects.toThrow(/shard two\.safetensors \(1 tensors\) is missing/);
    await writeSafetensors(join(sharded, 'two.safetensors'), { c: floats([1], [2]) });
    await expect(Checkpoint.open(sharded)).rejects.toThrow(/tensor b is not in its shard two\.safetensors/);
    await writeSafetensors(join(sharded, 'two.safetensors'), { b: floats([1], [2]) });
    expect(await (await Checkpoint.open(sharded)).readFloat32('b')).toEqual(Float32Array.of(2));
  });

  it('cannot make an index read outside the folder', async () => {
    const path = join(folder, 'model.safetensors.index.json');
    await writeJson(path, { weight_map: { a: '../secret.safetensors' } });
    await expect(Checkpoint.open(path)).rejects.toThrow(/tensor a: shard "\.\.\/secret\.safetensors"/);
  });

  it('of pickles is refused with the way out', async () => {
    const pickled = join(folder, 'pickled');
    await writeJson(join(pickled, 'pytorch_model.bin'), {});
    await expect(Checkpoint.open(pickled)).rejects.toThrow(/pickle, which can run code.*python -c/);
  });

  it('suggests the nearest tensor name', async () => {
    const path = join(folder, 'near.safetensors');
    await writeSafetensors(path, { query_tokens: floats([1], [1]) });
    const checkpoint = await Checkpoint.open(path);
    expect(() => checkpoint.read('query_token')).toThrow(/no tensor query_token; did you mean query_tokens\?/);
  });
});
