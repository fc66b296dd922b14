import { createRequire } from 'node:module';
import type { Table as ArrowTable, Float32, Schema, Vector } from 'apache-arrow';
import { floats, type Value } from '../../core/index.ts';
import type { Manifest } from '../manifest.ts';
import type { Item } from '../vector-index.ts';

/** Arrow as LanceDB itself loads it: of a second copy of the library it would not know the classes. */
const arrow: typeof import('apache-arrow') = createRequire(import.meta.url)('apache-arrow');
const { Binary, Field, FixedSizeList, List, makeData, RecordBatch, Struct, Utf8, vectorFromArray } = arrow;

/** A row of the table as LanceDB returns it, as far as its columns were selected. */
export interface Row {
  readonly id: string;
  readonly path: string;
  readonly file: string;
  readonly vectors: Iterable<Vector<Float32>>;
  readonly features: Uint8Array;
}

/** Of the schema: where the manifest is kept. */
const metadataKey = 'blip2_index';

export const manifestText = ({ metadata }: Schema): string => metadata.get(metadataKey) ?? '';

/** A row a picture; its queries are one column of vectors, which LanceDB searches as such. */
export function schemaOf(manifest: Manifest): Schema {
  const vector = new FixedSizeList(manifest.width, new Field('item', new arrow.Float32(), true));
  const fields = [
    new Field('id', new Utf8()),
    new Field('path', new Utf8()),
    new Field('file', new Utf8()),
    new Field('vectors', new List(new Field('item', vector, true))),
    new Field('features', new Binary()),
  ];
  return new arrow.Schema(fields, new Map([[metadataKey, JSON.stringify(manifest)]]));
}

/** Items as rows. The vectors are laid out by hand: from nested arrays Arrow would infer other types. */
export function tableOf(items: readonly Item[], manifest: Manifest): ArrowTable {
  const { queries, width } = manifest;
  const numbers = new Float32Array(items.length * queries * width);
  for (const [i, { vectors }] of items.entries()) numbers.set(vectors, i * queries * width);
  const vectorType = new FixedSizeList(width, new Field('item', new arrow.Float32(), true));
  const vectors = makeData({
    type: vectorType,
    length: items.length * queries,
    nullCount: 0,
    child: makeData({ type: new arrow.Float32(), data: numbers }),
  });
  const lists = makeData({
    type: new List(new Field('item', vectorType, true)),
    length: items.length,
    nullCount: 0,
    valueOffsets: Int32Array.from({ length: items.length + 1 }, (_, i) => i * queries),
    child: vectors,
  });
  const texts = (name: 'id' | 'path' | 'file') =>
    vectorFromArray(
      items.map((item) => item[name]),
      new Utf8(),
    ).data[0]!;
  const features = vectorFromArray(
    items.map((item) => bytesOf(item.features)),
    new Binary(),
  ).data[0]!;
  const schema = schemaOf(manifest);
  const rows = makeData({
    type: new Struct(schema.fields),
    length: items.length,
    nullCount: 0,
    children: [texts('id'), texts('path'), texts('file'), lists, features],
  });
  return new arrow.Table(schema, [new RecordBatch(schema, rows)]);
}

/** The vectors of a row: [1, Q, E]. */
export function vectorsOf({ vectors }: Row, { queries, width }: Manifest): Value<'float32'> {
  const data = new Float32Array(queries * width);
  let at = 0;
  for (const vector of vectors) {
    data.set(vector.toArray(), at);
    at += width;
  }
  return floats([1, queries, width], data);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
