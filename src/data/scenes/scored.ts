import { random } from '../../core/index.ts';
import type { CutoutRow } from '../cutout.ts';
import { composeScene, sceneVocabulary } from './compose.ts';
import type { Scene } from './scene.ts';

/**
 * The 1,000 scenes that captions are scored on: labels that training shows, in the drawing style it does not (the split
 * `heldout_style`). Fixed by a seed of their own; changing anything that they depend on makes figures incomparable.
 */
export function scoredScenes(rows: readonly CutoutRow[]): Scene[] {
  const vocabulary = sceneVocabulary(rows.filter((row) => row.split === 'heldout_style'));
  return Array.from({ length: 1000 }, (_, i) => composeScene(random(2301, 'scored scenes', i), vocabulary));
}
