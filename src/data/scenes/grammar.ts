import type { Random } from '../../core/index.ts';
import { type Background, nameBackground } from './background.ts';
import { articleOf, type SceneNoun } from './noun.ts';
import type { Arrangement, Phrasing, Scene, SceneObject } from './scene.ts';

/** What is true of every scene of an arrangement: a, b, c and d are its objects in reading order. */
const statements: Readonly<Record<Arrangement, readonly string[]>> = {
  '1': ['{a}'],
  '2': [
    '{a} to the left of {b}',
    '{a} left of {b}',
    '{b} to the right of {a}',
    '{b} right of {a}',
    '{a} on the left and {b} on the right',
    '{a} on the left, {b} on the right',
  ],
  '1+1': [
    '{a} above {b}',
    '{a} over {b}',
    '{b} below {a}',
    '{b} under {a}',
    '{b} beneath {a}',
    '{a} at the top and {b} at the bottom',
  ],
  '3': [
    '{b} between {a} and {c}',
    '{b} between {c} and {a}',
    '{a}, {b} and {c} from left to right',
    'from left to right, {a}, {b} and {c}',
    '{a} on the left, {b} in the middle and {c} on the right',
  ],
  '1+1+1': [
    '{b} between {a} and {c}',
    '{a}, {b} and {c} from top to bottom',
    'from top to bottom, {a}, {b} and {c}',
    '{a} at the top, {b} in the middle and {c} at the bottom',
  ],
  '1+2': ['{a} above {b} and {c}', '{a} over {b} and {c}', '{b} and {c} below {a}', '{b} and {c} under {a}'],
  '2+1': ['{a} and {b} above {c}', '{a} and {b} over {c}', '{c} below {a} and {b}', '{c} under {a} and {b}'],
  '2+2': ['{a} and {b} above {c} and {d}', '{c} and {d} below {a} and {b}', '{c} and {d} under {a} and {b}'],
};

/** The same with the place before the thing: what is then to be named depends on where one looks. */
const placeFirst: Readonly<Record<Arrangement, readonly string[]>> = {
  '1': [],
  '2': ['on the left {a}, on the right {b}', 'on the right {b}, on the left {a}'],
  '1+1': ['at the top {a}, at the bottom {b}', 'at the bottom {b}, at the top {a}'],
  '3': ['on the left {a}, in the middle {b}, on the right {c}', 'on the right {c}, in the middle {b}, on the left {a}'],
  '1+1+1': [
    'at the top {a}, in the middle {b}, at the bottom {c}',
    'at the bottom {c}, in the middle {b}, at the top {a}',
  ],
  '1+2': ['at the top {a}, at the bottom {b} and {c}', 'at the bottom {b} and {c}, at the top {a}'],
  '2+1': ['at the top {a} and {b}, at the bottom {c}', 'at the bottom {c}, at the top {a} and {b}'],
  '2+2': ['at the top {a} and {b}, at the bottom {c} and {d}', 'at the bottom {c} and {d}, at the top {a} and {b}'],
};

const openings = ['', '', '', 'a picture of ', 'there is '];
const grounds = ['', '', ' on ', ' against '];

/**
 * Up to `captions` different phrasings for an arrangement. `places` puts others in the place of some, with the place first; the
 * draws are the same with it and without.
 */
export function drawPhrasings(
  random: Random,
  arrangement: Arrangement,
  { captions, places }: { captions: number; places: boolean },
): Phrasing[] {
  const phrasings = new Map<string, Phrasing>();
  for (let attempt = 0; attempt < 4 * captions && phrasings.size < captions; attempt++) {
    const statement = random.pick(statements[arrangement]);
    const opening = statement.startsWith('{') ? random.pick(openings) : '';
    const phrasing = { statement, opening, ground: random.pick(grounds) };
    phrasings.set(Object.values(phrasing).join('|'), phrasing);
  }
  const drawn = [...phrasings.values()];
  if (!places) return drawn;
  return drawn.map((phrasing, i) => {
    const statement = i % 2 === 1 ? placeFirst[arrangement][(i - 1) / 2] : undefined;
    return statement === undefined ? phrasing : { ...phrasing, opening: '', statement };
  });
}

const numbers = ['', '', 'two', 'three', 'four'];

/** `a cat`, `two red apples`, `scissors`. */
export function nounPhrase({ noun, boxes }: Pick<SceneObject, 'noun' | 'boxes'>): string {
  if (noun.plural === undefined) return noun.name;
  return boxes.length > 1 ? `${numbers[boxes.length]} ${noun.plural}` : `${articleOf(noun.name)} ${noun.name}`;
}

/** `the cat`, `the red apples`. */
export const definite = ({ noun, boxes }: Pick<SceneObject, 'noun' | 'boxes'>): string =>
  `the ${boxes.length > 1 ? noun.plural : noun.name}`;

/** `is` or `are`, as the object's name and number ask. */
export const verbOf = ({ noun, boxes }: Pick<SceneObject, 'noun' | 'boxes'>): 'is' | 'are' =>
  boxes.length > 1 || isPlural(noun) ? 'are' : 'is';

/** Whether an uncounted name is a plural: `scissors`, not `bread`. */
const isPlural = ({ name, plural }: SceneNoun): boolean => plural === undefined && /[^s]s$/.test(name);

/** What a phrasing says of the objects: `two red apples to the left of a bicycle`. */
export function tell(objects: readonly SceneObject[], { statement, opening }: Omit<Phrasing, 'ground'>): string {
  const named = (letter: string) => objects['abcd'.indexOf(letter)]!;
  const first = named(/\{(.)\}/.exec(statement)![1]!);
  const told = statement.replaceAll(/\{(.)\}/g, (_, letter: string) => nounPhrase(named(letter)));
  return `${opening === 'there is ' ? `there ${verbOf(first)} ` : opening}${told}`;
}

/** The caption of a phrasing: `two red apples to the left of a bicycle on a green background`. */
export function say(objects: readonly SceneObject[], background: Background, phrasing: Phrasing): string {
  const { statement, ground } = phrasing;
  const told = tell(objects, phrasing);
  if (ground === '') return told;
  // "on the right on a green background" wants a comma.
  const comma = / (on|at|from) /.test(statement) ? ',' : '';
  return `${told}${comma}${ground}${nameBackground(background)}`;
}

/**
 * The scene's caption with two of its objects exchanged, which makes it false; undefined where there is nothing to
 * exchange. `index` chooses the caption.
 */
export function swapCaption(scene: Scene, index = 0): string | undefined {
  const phrasing = scene.phrasings[index];
  const swapped = exchange(scene);
  return swapped && phrasing && say(swapped, scene.background, phrasing);
}

/**
 * A scene's objects with two exchanged: the first with the one to its right in a single row, else with the first of the
 * next row. Undefined where there is nothing to exchange.
 */
export function exchange({ objects, arrangement }: Scene): SceneObject[] | undefined {
  if (objects.length < 2) return undefined;
  const other = arrangement.startsWith('2+') ? 2 : 1;
  return objects.with(0, objects[other]!).with(other, objects[0]!);
}
