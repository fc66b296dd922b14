import type { Random } from '../../core/index.ts';
import { drawPhrasings, say } from './grammar.ts';
import { standApart } from './noun.ts';
import { arrangements, relations, rowsOf, type Scene, type SceneObject } from './scene.ts';

/** A scene cut in the middle of its picture, where every object stands on one side. */
export interface Halves {
  /** Between the left and the right half, or between the upper and the lower. */
  readonly cut: 'columns' | 'rows';
  /** What stands in the left or upper half. */
  readonly first: readonly SceneObject[];
  readonly second: readonly SceneObject[];
}

/** How far an object may reach across the middle, as a share of the picture's side. */
const overhang = 1 / 16;

/** The halves of a scene; undefined where it has one thing, or things in the middle. */
export function halvesOf({ size, arrangement, objects }: Scene): Halves | undefined {
  const rows = rowsOf(arrangement);
  const cut = rows.length === 2 ? 'rows' : 'columns';
  if (cut === 'columns' && arrangement !== '2') return undefined;
  const count = cut === 'rows' ? rows[0]! : 1;
  const halves = { cut, first: objects.slice(0, count), second: objects.slice(count) } as const;
  const [from, length] = cut === 'rows' ? (['top', 'height'] as const) : (['left', 'width'] as const);
  const reaches = Math.max(...halves.first.flatMap(({ boxes }) => boxes.map((box) => box[from] + box[length])));
  const begins = Math.min(...halves.second.flatMap(({ boxes }) => boxes.map((box) => box[from])));
  const apart = reaches <= size * (0.5 + overhang) && begins >= size * (0.5 - overhang);
  return apart ? halves : undefined;
}

/**
 * Captions of a picture with the first half of one scene and the second half of another, which is cut the same way; they
 * say nothing of the ground, which has halves of its own. Undefined where the things would overlap, or their names do.
 */
export function captionsOfHalves(random: Random, { first, cut }: Halves, other: Halves): string[] | undefined {
  const objects = [...first, ...other.second];
  const { holds } = cut === 'rows' ? relations.above : relations.left;
  const apart = first.every((a) => other.second.every((b) => holds(a, b) && standApart(a.noun, b.noun)));
  const rows = cut === 'rows' ? `${first.length}+${other.second.length}` : `${objects.length}`;
  const arrangement = arrangements.find((name) => name === rows);
  if (!apart || arrangement === undefined) return undefined;
  const phrasings = drawPhrasings(random, arrangement, { captions: 5, places: true });
  return [...new Set(phrasings.map((phrasing) => say(objects, undefined, { ...phrasing, ground: '' })))];
}
