import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { elements, int64s, random, type StoredTensor, toNumbers, type Value } from '../../src/core/index.ts';
import {
  add,
  type Binding,
  differentiate,
  encodeModel,
  gather,
  input,
  mul,
  reduceMean,
  type Tensor,
} from '../../src/graph/index.ts';
import { activations, dotProductAttention, embedding, layerNorm, linear, Params } from '../../src/nn/index.ts';
import { compile } from '../../src/runtime/index.ts';

/** Checks a model, runs it, and prints its outputs: what anyone does who gets an ONNX file from us. */
const script = `
import json, sys
import numpy, onnx, onnxruntime
onnx.checker.check_model(sys.argv[1], full_check=True)
session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
feeds = {name: numpy.array(f['data'], f['dtype']).reshape(f['shape']) for name, f in json.load(sys.stdin).items()}
outputs = session.run(None, feeds)
print(json.dumps({o.name: {'declared': o.shape, 'shape': y.shape, 'data': y.ravel().tolist()}
                  for o, y in zip(session.get_outputs(), outputs)}))
`;
const hasPython = spawnSync('python3', ['-c', 'import numpy, onnx, onnxruntime']).status === 0;

describe.skipIf(!hasPython)('a model we write (skipped where python3 lacks onnx or onnxruntime)', () => {
  const width = 8;
  const p = new Params();
  const ids = input('ids', 'int64', ['batch', 'sequence']);
  const x = embedding(p.at('words'), ids, { entries: 5, width });
  const heads = ['q', 'k', 'v'].map((name) => linear(p.at(name), x, width));
  const [q, k, v] = heads as [Tensor, Tensor, Tensor];
  const attended = layerNorm(p.at('norm'), add(x, dotProductAttention({ q, k, v, heads: 2 })), 1e-5);
  const hidden = add(attended, activations.gelu(linear(p.at('out'), attended, width)));
  const loss = reduceMean(mul(hidden, gather(p.tensor('targets', [5, width]), ids)), {
    axes: [0, 1, 2],
    keepDims: false,
  });
  const [dWords, dOut] = differentiate(loss, [
    p.at('words').tensor('weight', [5, width]),
    p.at('out').tensor('weight', [width, width]),
  ]);
  const outputs = { hidden, loss, dWords: dWords!, dOut: dOut! };

  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'blip2-onnx-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** All parameters one after the other in one file, none of them aligned. */
  function store(): Map<string, StoredTensor> {
    const stored = new Map<string, StoredTensor>();
    const chunks: Uint8Array[] = [];
    let offset = 0;
    for (const [name, { shape }] of p.declared) {
      const draws = random(1, name);
      const size = elements(shape.map(Number));
      const data = Float32Array.from({ length: size }, () => draws.normal());
      chunks.push(Uint8Array.of(0xff), new Uint8Array(data.buffer));
      stored.set(name, {
        dtype: 'float32',
        shape: shape.map(Number),
        file: 'weights.bin',
        offset: offset + 1,
        byteLength: 4 * size,
      });
      offset += 1 + 4 * size;
    }
    writeFileSync(join(folder, 'weights.bin'), Buffer.concat(chunks));
    return stored;
  }

  it('passes the ONNX checker and gives the same numbers in another runtime', async () => {
    const stored = store();
    const bind = (name: string): Binding => stored.get(name) ?? 'input';
    writeFileSync(join(folder, 'model.onnx'), encodeModel(outputs, bind).bytes);
    const feed = int64s([2, 3], [0, 1, 4, 4, 2, 0]);
    const theirs = runInPython(join(folder, 'model.onnx'), { ids: feed });

    const session = await compile(outputs, (name) => ({ ...stored.get(name)!, file: join(folder, 'weights.bin') }));
    const ours = await session.run({ ids: feed });
    expect(theirs.hidden!.declared).toEqual(['batch', 'sequence', width]);
    for (const [name, value] of Object.entries(ours)) {
      expect(theirs[name]!.shape).toEqual(value.shape);
      toNumbers(value).forEach((y, i) => {
        expect(theirs[name]!.data[i]).toBeCloseTo(y, 5);
      });
    }
  });

  function runInPython(
    model: string,
    feeds: Record<string, Value>,
  ): Record<string, { declared: unknown; shape: number[]; data: number[] }> {
    const json = Object.fromEntries(Object.entries(feeds).map(([name, v]) => [name, { ...v, data: toNumbers(v) }]));
    const { status, stdout, stderr } = spawnSync('python3', ['-c', script, model], {
      input: JSON.stringify(json),
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }
});
