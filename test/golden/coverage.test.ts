/** Names the fixtures that no golden test reads yet, so that none is passed over in silence. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { goldenDir } from './fixtures.ts';

/** Where the golden tests of this folder read. */
const read = [
  'checkpoints/',
  'generation/',
  'images/',
  'metrics/',
  'outputs/',
  'stage1/',
  'stage2/',
  'tokenizers/',
  'trajectory/',
  'vit/',
];
/** About the set itself. */
const about = ['README.md', 'checks.json', 'mutants.json', 'mutants_eps.json', 'variant.json'];

function filesBelow(folder: string): string[] {
  return readdirSync(join(goldenDir, folder)).flatMap((name) => {
    const path = folder === '' ? name : `${folder}/${name}`;
    return statSync(join(goldenDir, path)).isDirectory() ? filesBelow(path) : [path];
  });
}

const files = filesBelow('');
it('the set has something in every place that is read', () => {
  expect(read.filter((place) => !files.some((file) => file.startsWith(place)))).toEqual([]);
});
const unread = files.filter((file) => !about.includes(file) && !read.some((place) => file.startsWith(place)));
if (unread.length > 0) console.warn(`fixtures that no test reads yet: ${unread.join(', ')}`);
for (const file of unread) it.todo(`no test reads ${file} yet`);
