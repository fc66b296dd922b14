import { access } from 'node:fs/promises';
import { Command } from 'commander';
import { DataError, UsageError } from '../../core/index.ts';
import { type Added, ImageIndex, openVectorIndex, removeImages } from '../../index/index.ts';
import { expandImages } from '../images.ts';
import { interruption } from '../interrupt.ts';
import { loadModel, type ModelOptions, withJson, withModel } from '../options.ts';
import { note, printRecord } from '../output.ts';
import { partProgress } from '../part-progress.ts';

interface Options extends ModelOptions {
  readonly json?: boolean;
  readonly skipBad?: boolean;
}

const waiting = { signal: interruption, onWait: note };

const location = 'a folder, lance:FOLDER, or the URI of an object store';

const add = withJson(withModel(new Command('add')))
  .description('add images, or what has changed of them; an interrupted run goes on where it stopped')
  .argument('<index>', location)
  .argument('<path...>', 'files, folders or patterns')
  .option('--skip-bad', 'leave out images that cannot be read, and count them')
  .action(async (name: string, paths: string[], options: Options) => {
    if (paths.includes('-')) {
      throw new UsageError('index add: expected files, folders or patterns, found -: what is found again has a path');
    }
    const images = await expandImages(paths);
    if (!options.skipBad) await checkExist(images);
    const index = await ImageIndex.open(name, await loadModel(options), { create: true, ...waiting });
    const progress = partProgress();
    try {
      const added = await index.add(images, {
        signal: interruption,
        onProgress: (done, total) => progress.show({ part: 'indexing', done, total }),
        ...(options.skipBad && { onSkip: (error) => note(error.message) }),
      });
      printRecord({ index: name, ...added, images: await index.size() }, options.json, inWords);
    } finally {
      progress.stop();
      await index.close();
    }
  });

/** Throws DataError naming a file that does not exist. */
async function checkExist(images: readonly string[]): Promise<void> {
  for (const image of images) {
    await access(image).catch((cause) => {
      throw new DataError(`${image}: expected an image file, but there is no such file`, { cause });
    });
  }
}

/** `3 added, 1 renamed; photos.index has 120 images`. */
function inWords({ index, images, ...counts }: Added & { index: string; images: number }): string {
  const changes = Object.entries(counts).filter(([, count]) => count > 0);
  return `${changes.map(([what, count]) => `${count} ${what}`).join(', ')}; ${index} has ${images} images`;
}

const remove = withJson(new Command('remove'))
  .description('remove images, or all that are below a folder')
  .argument('<index>', location)
  .argument('<path...>', 'files and folders; they need not exist any more')
  .action(async (name: string, paths: string[], options: { json?: boolean }) => {
    const index = await openVectorIndex(name, undefined, waiting);
    try {
      const removed = await removeImages(index, paths);
      const record = { index: name, removed, images: await index.size() };
      printRecord(record, options.json, () => `${removed} removed; ${name} has ${record.images} images`);
    } finally {
      await index.close();
    }
  });

const info = withJson(new Command('info'))
  .description('what an index holds, and what made it')
  .argument('<index>', location)
  .action(async (name: string, options: { json?: boolean }) => {
    const index = await openVectorIndex(name);
    try {
      const record = { index: name, images: await index.size(), ...index.manifest };
      printRecord(record, options.json, () =>
        Object.entries(record)
          .map(([key, field]) => `${key}: ${field}`)
          .join('\n'),
      );
    } finally {
      await index.close();
    }
  });

export const imageIndex = new Command('index')
  .description('keep images to be searched')
  .addCommand(add)
  .addCommand(remove)
  .addCommand(info);
