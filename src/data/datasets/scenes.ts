import { z } from 'zod';
import { DataError, random } from '../../core/index.ts';
import { readCutouts } from '../cutout.ts';
import { composeScene, composeSingle, sceneVocabulary } from '../scenes/index.ts';
import { defineDataset } from './dataset.ts';

/** Scenes composed from a set of cut-outs, each from its number and the seed alone; nothing is kept. */
export const scenes = defineDataset(
  z.strictObject({
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
  }),
  async ({ path, split, sources, n, seed, size, singles }, onBad) => {
    const rows = await readCutouts(path, { split, sources, onBad });
    if (rows.length === 0) throw new DataError(`${path}: expected pictures of the split ${split}, found none`);
    const vocabulary = sceneVocabulary(rows);
    return {
      length: n,
      record(index) {
        const draws = random(seed, 'scene', index);
        const scene = draws.chance(singles)
          ? composeSingle(draws, draws.pick(rows), { size })
          : composeScene(draws, vocabulary, { size });
        const id = `scene ${seed}-${index}`;
        return { id, imageId: id, image: { kind: 'scene', folder: path, scene }, captions: scene.captions };
      },
    };
  },
);
