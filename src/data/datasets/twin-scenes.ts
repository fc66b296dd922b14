import { z } from 'zod';
import { type Random, random, UsageError } from '../../core/index.ts';
import { type ComposeOptions, composeScene, exchangeObjects, type Scene, type SceneEntry } from '../scenes/index.ts';
import { defineDataset } from './dataset.ts';
import { readSceneParts, sceneOptions } from './scenes.ts';

/**
 * Scenes in pairs: one of several objects, and the same with two of them exchanged. Nothing but where things stand tells
 * the one's caption from the other's, so both go into one batch, where each is the other's hardest negative.
 */
export const twinScenes = defineDataset(
  sceneOptions.omit({ singles: true }).extend({
    type: z.literal('twin_scenes'),
    /** How many scenes there are, two of each pair. */
    n: z.int().positive().multipleOf(2),
    /** Only scenes of at least, and at most, so many different things. */
    min_objects: z.int().min(2).max(4).default(2),
    max_objects: z.int().min(2).default(4),
  }),
  async ({ path, split, sources, nouns, n, seed, size, places, looks, min_objects, max_objects }, onBad) => {
    if (min_objects > max_objects) {
      throw new UsageError(
        `twin_scenes.min_objects: expected at most max_objects, ${max_objects}, found ${min_objects}`,
      );
    }
    const { vocabulary } = await readSceneParts({ path, split, sources, nouns, seed }, onBad);
    return {
      length: n,
      together: 2,
      record(index) {
        const pair = Math.floor(index / 2);
        const draws = random(seed, 'twins', pair);
        const first = composeSeveral(draws, vocabulary, {
          size,
          places,
          looks,
          fewest: min_objects,
          most: max_objects,
        });
        const scene = index % 2 === 0 ? first : exchangeObjects(draws, first)!;
        const id = `twin scene ${seed}-${index}`;
        return { id, imageId: id, image: { kind: 'scene', folder: path, scene }, captions: scene.captions };
      },
    };
  },
);

/** A scene of no fewer objects than `fewest`, and of no more than `most`. */
function composeSeveral(
  draws: Random,
  vocabulary: readonly SceneEntry[],
  { fewest, most, ...options }: ComposeOptions & { fewest: number; most: number },
): Scene {
  for (;;) {
    const scene = composeScene(draws, vocabulary, options);
    if (scene.objects.length >= fewest && scene.objects.length <= most) return scene;
  }
}
