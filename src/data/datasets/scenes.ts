import { z } from 'zod';
import { DataError, random } from '../../core/index.ts';
import { type CutoutRow, readCutouts } from '../cutout.ts';
import type { OnBad } from '../json-lines.ts';
import { composeScene, composeSingle, type Scene, type SceneEntry, sceneVocabulary } from '../scenes/index.ts';
import { defineDataset } from './dataset.ts';

export const sceneOptions = z.strictObject({
  type: z.literal('scenes'),
  path: z.string(),
  split: z.string().default('train'),
  sources: z.array(z.string()).optional(),
  /** Only so many nouns, drawn by the seed: a few things are soon known, and what is left to learn is how they stand. */
  nouns: z.int().min(5).optional(),
  /** Two of a scene's captions say the place first, "on the left a cat, on the right a dog"; the scenes stay the same. */
  places: z.boolean().default(false),
  /** How many different scenes there are. */
  n: z.int().positive(),
  seed: z.int().nonnegative().default(0),
  /** The side of the canvas in pixels. */
  size: z.int().positive().default(224),
  /** The share of cut-outs that are drawn with another look: turned, stretched, bent, in other colours and tones. */
  looks: z.number().min(0).max(1).default(0),
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

/** The cut-outs that scenes are made of, and what they can name. Throws DataError where there are none. */
export async function readSceneParts(
  {
    path,
    split,
    sources,
    nouns,
    seed,
  }: Pick<z.output<typeof sceneOptions>, 'path' | 'split' | 'sources' | 'nouns' | 'seed'>,
  onBad?: OnBad,
): Promise<{ rows: CutoutRow[]; vocabulary: SceneEntry[] }> {
  const rows = await readCutouts(path, { split, sources, onBad });
  if (rows.length === 0) throw new DataError(`${path}: expected pictures of the split ${split}, found none`);
  const vocabulary = sceneVocabulary(rows);
  if (nouns === undefined) return { rows, vocabulary };
  return { rows, vocabulary: random(seed, 'nouns').shuffle(vocabulary).slice(0, nouns) };
}

/** What makes the scene of each number. */
export async function sceneComposer(
  { path, split, sources, nouns, seed, size, singles, places, looks }: z.output<typeof sceneOptions>,
  onBad?: OnBad,
): Promise<(index: number) => Scene> {
  const { rows, vocabulary } = await readSceneParts({ path, split, sources, nouns, seed }, onBad);
  return (index) => {
    const draws = random(seed, 'scene', index);
    return draws.chance(singles)
      ? composeSingle(draws, draws.pick(rows), { size, looks })
      : composeScene(draws, vocabulary, { size, places, looks });
  };
}
