/** `npm run bench -- NAME…`: claims measured beside their peers, a line of JSON for each result; without NAME, a list. */
import { nearest } from '../src/core/index.ts';
import { captionBeam, captionFp32, captionInt4, captionInt8, decode, start, vitInt8 } from './caption.ts';
import { folderInt8 } from './folder.ts';
import { growth } from './growth.ts';
import { leak } from './leak.ts';
import type { Claim } from './measure.ts';
import { quality } from './quality.ts';
import { search } from './search.ts';
import { stageOneStep } from './stage1-step.ts';

const claims: Readonly<Record<string, Claim>> = {
  'caption-beam': captionBeam,
  'caption-fp32': captionFp32,
  'caption-int4': captionInt4,
  'caption-int8': captionInt8,
  decode,
  'folder-int8': folderInt8,
  growth,
  leak,
  quality,
  search,
  'stage1-step': stageOneStep,
  start,
  'vit-int8': vitInt8,
};

const names = process.argv.slice(2);
const unknown = names.find((name) => !(name in claims));
if (unknown !== undefined) {
  const guess = nearest(unknown, Object.keys(claims));
  process.stderr.write(`bench: there is no claim ${unknown}${guess ? `; did you mean ${guess}?` : ''}\n`);
  process.exitCode = 2;
} else if (names.length === 0) {
  for (const [name, { description }] of Object.entries(claims)) process.stdout.write(`${name}  ${description}\n`);
} else {
  for (const name of names) {
    for await (const row of claims[name]!.run()) process.stdout.write(`${JSON.stringify(row)}\n`);
  }
}
