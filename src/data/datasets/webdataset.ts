import { createReadStream } from 'node:fs';
import { type Extract, extract } from 'tar-stream';
import { z } from 'zod';
import { DataError } from '../../core/index.ts';
import type { ImageSource } from '../image-source.ts';
import { keepGood, type OnBad, parseJson, report } from '../json-lines.ts';
import { checkCaptions, defineDataset, type ImageTextRecord, oneOrNone, recordsOf } from './dataset.ts';
import { expandBraces } from './expand-braces.ts';

/**
 * Tar shards in WebDataset's layout: members with the same name up to the first dot of their base name are one sample,
 * here an image (jpg, png, webp) and its caption (txt, or else json: `caption` or `captions`, or a list of captions).
 * One scan finds where the images lie; they are read by offset, so that shuffling and resuming are exact.
 */
export const webdataset = defineDataset(
  z.strictObject({ type: z.literal('webdataset'), path: z.string() }),
  async ({ path }, onBad) => {
    const shards: ImageTextRecord[][] = [];
    for (const shard of expandBraces(path)) shards.push(await scanShard(shard, onBad));
    return recordsOf(shards.flat(), onBad);
  },
);

const images = new Set(['jpg', 'jpeg', 'png', 'webp']);
const texts = new Set(['txt', 'json']);
/** A member's bytes follow its header. */
const headerBytes = 512;

type TarEntry = Extract extends AsyncIterable<infer Entry> ? Entry : never;

/** What a shard holds under one key. */
interface Sample {
  image?: ImageSource;
  txt?: string;
  json?: string;
}

async function scanShard(shard: string, onBad?: OnBad): Promise<ImageTextRecord[]> {
  const samples = new Map<string, Sample>();
  let last = 'the start';
  try {
    for await (const entry of entriesOf(shard)) {
      last = entry.header.name;
      await readEntry(shard, entry, samples);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    report(new DataError(`${shard}: expected a whole tar file, but after ${last}: ${reason}`, { cause }), onBad);
    samples.delete(keyOf(last).key); // the sample that the end of the file cuts off
  }
  return [...samples].flatMap(([key, sample]) => keepGood(() => recordOf(shard, key, sample), onBad));
}

/** The shard's members in order, each to be read to its end before the next. */
function entriesOf(shard: string): AsyncIterable<TarEntry> {
  const entries = extract();
  createReadStream(shard)
    .on('error', (error) => entries.destroy(error))
    .pipe(entries);
  return entries;
}

/** A member's sample and what it is of it: `a/b.c.txt` is `c.txt` of `a/b`. */
function keyOf(member: string): { key: string; extension: string } {
  const [, key = member, extension = ''] = /^((?:.*\/)?[^/.]*)\.([^/]*)$/.exec(member) ?? [];
  return { key, extension: extension.toLowerCase() };
}

async function readEntry(shard: string, entry: TarEntry, samples: Map<string, Sample>): Promise<void> {
  const { name: member, size } = entry.header;
  const { key, extension } = keyOf(member);
  const sample = samples.get(key) ?? {};
  const bytes: Uint8Array[] = [];
  for await (const chunk of entry) if (chunk instanceof Uint8Array && texts.has(extension)) bytes.push(chunk);
  if (images.has(extension)) {
    sample.image = { kind: 'tar', path: shard, member, offset: entry.offset + headerBytes, size };
  } else if (extension === 'txt' || extension === 'json') {
    sample[extension] = Buffer.concat(bytes).toString('utf8');
  } else return;
  samples.set(key, sample);
}

/** A list of captions counts as `captions`. */
const description = z.preprocess(
  (json) => (Array.isArray(json) ? { captions: json } : json),
  z.object({ caption: z.string().nullish(), captions: z.array(z.string()).nullish() }),
);

function recordOf(shard: string, key: string, { image, txt, json }: Sample): ImageTextRecord {
  const where = `${shard}: ${key}`;
  if (image?.kind !== 'tar') throw new DataError(`${where}: expected an image (jpg, png, webp), but there is none`);
  if (image.size === 0) throw new DataError(`${where}: expected an image, but ${image.member} is empty`);
  const captions = txt === undefined ? describedIn(json, `${where}.json`) : [txt]; // json is often about other things
  return { id: key, imageId: key, image, captions: checkCaptions(captions, where) };
}

function describedIn(json: string | undefined, where: string): string[] {
  if (json === undefined) return [];
  const { caption, captions } = parseJson(json, description, where);
  return captions ?? oneOrNone(caption);
}
