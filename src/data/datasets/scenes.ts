import { z } from 'zod';
import { DataError, random } from '../../core/index.ts';
import { readCutouts } from '../cutout.ts';
import type { OnBad } from '../json-lines.ts';
import { composeScene, composeSingle, type Scene, sceneVocabulary } from '../scenes/index.ts';
import { defineDataset } from './dataset.ts';

export const sceneOptions = z.strictObject({
  type: z.literal('scenes'),
  path: z.string(),
  split: z.string().default('train'),
  sources: z.array(z.string()).optional(),
  /** How many different scenes there are. */
  n: z.int().positive(),
  seed: z.int().nonnegative().default(0),
  /** The side of the canvas in pixels. */
  size: z.int().positive().default(224),
  /** The share of scenes that show one picture of the set, whatever it is, with its own caption. */
  singles: z.number().min(0).max(1).default(0),
});

/** Scenes composed from a set of cut-outs, each from its number and the seed alone; nothing is kept. */
export const scenes = defineDataset(sceneOptions, async (options, onBad) => {
  const compose = await sceneComposer(options, onBad);
  return {
    length: options.n,
    record(index) {
      const scene = compose(index);
      const id = `scene ${options.seed}-${index}`;
      return { id, imageId: id, image: { kind: 'scene', folder: options.path, scene }, captions: scene.captions };
    },
  };
});

/** What makes the scene of each number. */
export async function sceneComposer(
  { path, split, sources, seed, size, singles }: z.output<typeof sceneOptions>,
  onBad?: OnBad,
): Promise<(index: number) => Scene> {
  const rows = await readCutouts(path, { split, sources, onBad });
  if (rows.length === 0) throw new DataError(`${path}: expected pictures of the split ${split}, found none`);
  const vocabulary = sceneVocabulary(rows);
  return (index) => {
    const draws = random(seed, 'scene', index);
    return draws.chance(singles)
      ? composeSingle(draws, draws.pick(rows), { size })
      : composeScene(draws, vocabulary, { size });
  };
}
