import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CheckpointError,
  floats,
  floatToBfloat,
  floatToHalf,
  int64s,
  mulDims,
  RuntimeError,
  type StoredTensor,
  toNumbers,
  UsageError,
  value,
} from '../core/index.ts';
import {
  add,
  concat,
  differentiate,
  dims,
  erf,
  gather,
  input,
  linearProduct,
  mul,
  parameter,
  reduceSum,
  reshape,
  slice,
  type Tensor,
} from '../graph/index.ts';
import { compile, weightsFrom } from './index.ts';

describe('symbolic dimensions', () => {
  it('are bound by each run anew', async () => {
    const x = input('x', 'float32', ['batch', 'sequence', 2]);
    const rows = reshape(x, { shape: [mulDims('batch', 'sequence'), 2] });
    const session = await compile({ rows, size: dims(rows.shape) });
    for (const [batch, sequence] of [
      [2, 3],
      [1, 4],
    ] as const) {
      const { rows, size } = await session.run({
        x: floats([batch, sequence, 2], new Float32Array(batch * sequence * 2)),
      });
      expect(rows.shape).toEqual([batch * sequence, 2]);
      expect(toNumbers(size)).toEqual([batch * sequence, 2]);
    }
  });
  it('grow by arithmetic: past + 1, and back', async () => {
    const cache = input('cache', 'float32', ['past', 2]);
    const grown = concat([cache, input('next', 'float32', [1, 2])], { axis: 0 });
    expect(grown.shape).toEqual(['past + 1', 2]);
    const last = slice(grown, { axis: 0, start: 'past' });
    expect(last.shape).toEqual([1, 2]);
    const session = await compile({ grown, last });
    const feeds = { cache: floats([3, 2], [1, 2, 3, 4, 5, 6]), next: floats([1, 2], [7, 8]) };
    const results = await session.run(feeds);
    expect(toNumbers(results.grown)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(toNumbers(results.last)).toEqual([7, 8]);
  });
  it('must be the dimension of some input', async () => {
    await expect(compile({ n: dims(['unknown']) })).rejects.toThrow(
      'the dimension unknown is needed, but no input has it as a dimension of its own',
    );
  });
});

describe('inputs', () => {
  const x = input('x', 'float32', ['batch', 2]);
  it('of one name and type are one input', async () => {
    const session = await compile({ y: add(x, input('x', 'float32', ['batch', 2])) });
    expect(session.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(toNumbers((await session.run({ x: floats([1, 2], [1, 2]) })).y)).toEqual([2, 4]);
  });
  it('of one name and two types are a mistake', async () => {
    await expect(compile({ y: add(x, input('x', 'float32', [1, 2])) })).rejects.toThrow(
      'two inputs are called x: x: float32[batch, 2] and x: float32[1, 2]',
    );
  });
  it('are checked before they are fed', async () => {
    const session = await compile({ y: mul(x, 2) });
    await expect(session.run({})).rejects.toThrow('run: the input x: float32[batch, 2] is missing');
    await expect(session.run({ x: floats([2], [1, 2]) })).rejects.toThrow(
      'run: the input x must be float32[batch, 2], got float32[2]',
    );
    const pair = await compile({ y: add(x, input('z', 'float32', ['batch', 2])) });
    await expect(pair.run({ x: floats([1, 2], [1, 2]), z: floats([2, 2], [1, 2, 3, 4]) })).rejects.toThrow(
      'run: batch is 1 in the input x, but 2 in z',
    );
  });
  it('cannot have the name of an output', async () => {
    await expect(compile({ x: mul(x, 2) })).rejects.toThrow(
      'an output has the name of the input x: float32[batch, 2]; ONNX wants two names',
    );
  });
  it('may look like a name of ours', async () => {
    const session = await compile({ Mul_0: mul(input('Mul_1', 'float32', [1]), input('constant_0', 'float32', [1])) });
    const { Mul_0: y } = await session.run({ Mul_1: floats([1], [3]), constant_0: floats([1], [5]) });
    expect(toNumbers(y)).toEqual([15]);
  });
});

describe('run', () => {
  const state = input('state', 'float32', [2]);
  it('writes into a preallocated value, also one that is fed', async () => {
    const session = await compile({ next: add(state, 1) });
    const data = floats([2], [1, 2]);
    await session.run({ state: data }, { next: data });
    await session.run({ state: data }, { next: data });
    expect([...data.data]).toEqual([3, 4]);
  });
  it('computes only what is fetched', async () => {
    const session = await compile({ doubled: mul(state, 2), sum: reduceSum(state, { axes: [0], keepDims: false }) });
    expect(Object.keys(await session.run({ state: floats([2], [1, 2]) }, { sum: null }))).toEqual(['sum']);
  });
});

describe("ONNX Runtime's errors", () => {
  const table = input('table', 'float32', [4, 2]);
  const ids = input('ids', 'int64', ['n']);
  const feeds = { table: floats([4, 2], new Float32Array(8)), ids: int64s([1], [7]) };
  const failing = async (outputs: Record<string, Tensor>): Promise<unknown> =>
    (await compile<string>(outputs)).run(feeds).catch((error: unknown) => error);

  it('name the line that wrote the operator, and start their stack there', async () => {
    const error = await failing({ rows: gather(table, ids) });
    expect(error).toBeInstanceOf(RuntimeError);
    expect(String(error)).toMatch(/out of data bounds.*\(written at .*session\.test\.ts:\d+:\d+\)/s);
    expect((error as RuntimeError).stack).toMatch(/\n {4}at .*session\.test\.ts/);
  });
  it('do so for gradients too', async () => {
    const total = reduceSum(mul(gather(table, ids), 2), { axes: [0, 1], keepDims: false });
    const [g] = differentiate(total, [table]);
    expect(String(await failing({ g: g! }))).toMatch(/\(written at .*session\.test\.ts:\d+:\d+\)/);
  });
});

describe('a device', () => {
  const x = input('x', 'float64', [2]);
  it('that this build has not got is named, with those that it has', async () => {
    const refused = compile({ y: add(x, 1) }, undefined, { device: 'abacus' });
    await expect(refused).rejects.toThrow(/^device abacus: this build of ONNX Runtime \(.*\) has cpu, .*; choose one/);
    await expect(refused).rejects.toThrow(UsageError);
  });
  it('that has no kernel for an operator says which, and the line that wrote it', async () => {
    const refused = compile({ y: erf(x) });
    await expect(refused).rejects.toThrow(/implementation for Erf.*\(written at .*session\.test\.ts:\d+:\d+\)/);
  });
});

describe('stored weights', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'blip2-session-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const numbersOf = [0.5, -1.25, 2, 3, -4, 5.5];
  const x = input('x', 'float32', ['batch', 3]);
  const y = linearProduct(x, parameter('weight', 'float32', [2, 3]));
  const expected = [0.5 - 2.5 + 6, 3 - 8 + 16.5]; // weight · (1, 2, 3)

  function stored(
    name: string,
    dtype: StoredTensor['dtype'],
    data: Float32Array | Uint16Array,
    offset = 0,
  ): StoredTensor {
    const file = join(folder, name);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    writeFileSync(file, Buffer.concat([Buffer.alloc(offset, 0xff), bytes]));
    return { dtype, shape: [2, 3], file, offset, byteLength: bytes.length };
  }
  async function product(weight: StoredTensor, mapped = false): Promise<number[]> {
    const session = await compile({ y }, weightsFrom(new Map([['weight', weight]])), { mapped });
    return toNumbers((await session.run({ x: floats([1, 3], [1, 2, 3]) })).y);
  }

  it.each([false, true])('are read where they lie, at any alignment (mapped: %s)', async (mapped) => {
    for (const offset of [0, 1, 7, 4096, 4099]) {
      const weight = stored(`at-${offset}`, 'float32', Float32Array.from(numbersOf), offset);
      expect(await product(weight, mapped)).toEqual(expected);
    }
  });
  it('are cast from half floats', async () => {
    const data = Float32Array.from(numbersOf); // all of them exact in 16 bits
    expect(await product(stored('half', 'float16', floatToHalf(data), 3))).toEqual(expected);
    expect(await product(stored('bfloat', 'bfloat16', floatToBfloat(data), 3))).toEqual(expected);
  });
  it('may be larger than 2 GB and begin beyond 4 GB', async () => {
    const shape = [3 * 2 ** 28, 1]; // 3 GB, all of it a hole of a sparse file but the last row
    const weight: StoredTensor = {
      dtype: 'float32',
      shape,
      file: join(folder, 'large'),
      offset: 2 ** 32 + 1,
      byteLength: 3 * 2 ** 30,
    };
    const end = weight.offset + weight.byteLength;
    const handle = openSync(weight.file, 'w');
    writeSync(handle, new Uint8Array(Float32Array.of(2.5).buffer), 0, 4, end - 4);
    closeSync(handle);
    const rows = gather(parameter('large', 'float32', shape), input('ids', 'int64', [2]));
    const session = await compile({ rows }, weightsFrom(new Map([['large', weight]])));
    expect(toNumbers((await session.run({ ids: int64s([2], [0, -1]) })).rows)).toEqual([0, 2.5]);
    await session.release();
  });
  it('may lie behind a symbolic link', async () => {
    const weight = stored('blob', 'float32', Float32Array.from(numbersOf));
    symlinkSync(weight.file, join(folder, 'link'));
    expect(await product({ ...weight, file: join(folder, 'link') })).toEqual(expected);
  });
  it('may come from memory, or be fed', async () => {
    const weight = value('float32', [2, 3], Float32Array.from(numbersOf));
    const bound = await compile({ y }, weightsFrom(new Map([['weight', weight]])));
    expect(bound.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(toNumbers((await bound.run({ x: floats([1, 3], [1, 2, 3]) })).y)).toEqual(expected);
    const fed = await compile({ y });
    expect(toNumbers((await fed.run({ x: floats([1, 3], [1, 2, 3]), weight })).y)).toEqual(expected);
  });
  it('must exist and fit', async () => {
    await expect(compile({ y }, () => undefined)).rejects.toThrow(CheckpointError);
    const weight = value('float32', [7], new Float32Array(7));
    await expect(compile({ y }, () => weight)).rejects.toThrow(
      'weight: float32[2, 3] is bound to a tensor of shape [7]',
    );
  });
});
