import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { concat, input, mul, slice } from '../index.ts';
import { encodeModel } from './encode.ts';
import { ModelProtoSchema, type ValueInfoProto } from './onnx_pb.ts';

const shapeOf = ({ type }: ValueInfoProto) =>
  type?.value.case === 'tensorType' ? type.value.value.shape?.dim.map(({ value }) => value.value) : undefined;

describe('an encoded model', () => {
  it('says the shape of every value, in the symbols of its inputs', () => {
    const x = input('x', 'float32', ['batch', 8]);
    const twice = concat([x, mul(x, 3)], { axis: 0 });
    const { bytes } = encodeModel({ y: slice(twice, { axis: 0, start: 'batch' }) });
    const { graph } = fromBinary(ModelProtoSchema, bytes);
    const shapes = new Map(graph!.valueInfo.map((v) => [v.name, shapeOf(v)]));
    expect([...shapes.values()]).toEqual([
      ['batch', 8n],
      ['2*batch', 8n],
      ['batch', 8n],
    ]);
    const written = new Set(graph!.node.flatMap(({ output }) => output));
    for (const name of shapes.keys()) expect(written).toContain(name);
  });
});
