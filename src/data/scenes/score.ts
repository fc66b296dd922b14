import { pluralOf } from './noun.ts';
import { relations, type Scene, type SceneObject, standsBetween } from './scene.ts';

export interface SceneScore {
  /** How many of the scene's objects the text names. */
  readonly named: number;
  readonly allNamed: boolean;
  /** Whether the text states a relation and every relation it states holds; undefined unless several, all named. */
  readonly relationRight: boolean | undefined;
}

/** A name's place in the text. */
interface Mention {
  readonly object: SceneObject;
  readonly start: number;
  readonly end: number;
}

/** A stated relation: where it stands, and whether it holds for the things named before and after it. */
interface Claim {
  readonly start: number;
  readonly end: number;
  readonly holds: (before: SceneObject[], after: SceneObject[], all: readonly SceneObject[]) => boolean;
}

/**
 * Scores a caption of a scene by its words. An object is named where its noun phrase occurs whole, in the singular or
 * the plural, after an article, a number, a place or nothing: "hot dog" does not name a dog. With `lenient`, its head noun
 * anywhere will do. Synonyms are not known.
 */
export function scoreSceneCaption(scene: Scene, text: string, options: { lenient?: boolean } = {}): SceneScore {
  const lower = text.toLowerCase();
  const mentions = scene.objects
    .flatMap((object) => mentionsOf(object, lower, options.lenient ?? false))
    .sort((a, b) => a.start - b.start);
  const named = new Set(mentions.map(({ object }) => object)).size;
  const allNamed = named === scene.objects.length;
  const related = allNamed && scene.objects.length > 1;
  return { named, allNamed, relationRight: related ? relationsHold(scene, mentions, claimsOf(lower)) : undefined };
}

/** What may stand before a noun phrase, and after it: for a name is named whole, or not at all. */
const place = 'above|over|below|under|beneath|between';
const side = '(?:on|at|in) the (?:left|right|top|bottom|middle)';
const before = `(?<=^|[,.:;] ?|\\b(?:a|an|the|one|two|three|four|of|and|any|some|is|are|${place}|${side}) )`;
const after = `(?=$|[,.;?]| (?:and|on|in|at|to|is|are|left|right|from|against|with|${place})\\b)`;

function mentionsOf(object: SceneObject, text: string, lenient: boolean): Mention[] {
  const { name, plural = name, head } = object.noun;
  const pattern = lenient ? `\\b(?:${pluralOf(head)}|${head})\\b` : `${before}(?:${plural}|${name})${after}`;
  return [...text.matchAll(new RegExp(pattern, 'g'))].map(({ index, 0: { length } }) => {
    return { object, start: index, end: index + length };
  });
}

type Holds = (a: SceneObject, b: SceneObject) => boolean;
const { left, right, above, below } = relations;
/** Every thing named before stands so to every thing named after. */
const toAll =
  (holds: Holds): Claim['holds'] =>
  (before, after) =>
    before.length > 0 && after.length > 0 && before.every((a) => after.every((b) => holds(a, b)));
/** The things named before stand at one side of all others. */
const toOthers =
  (holds: Holds): Claim['holds'] =>
  (before, _, all) =>
    before.length > 0 && before.every((a) => all.every((b) => before.includes(b) || holds(a, b)));
/** The things named before and after follow each other so, in the order of the text. */
const inOrder =
  (holds: Holds): Claim['holds'] =>
  (first, second) =>
    [...first, ...second].every((b, i, named) => i === 0 || holds(named[i - 1]!, b));

const inTheMiddle: Claim['holds'] = (before, _, all) =>
  before.length > 0 &&
  before.every((a) => all.some((b) => all.some((c) => b !== a && c !== a && standsBetween(a, b, c))));
const between: Claim['holds'] = (before, [b, c]) =>
  before.length > 0 && b !== undefined && c !== undefined && before.every((a) => standsBetween(a, b, c));

const claims: readonly (readonly [RegExp, Claim['holds']])[] = [
  [/\bleft of\b/g, toAll(left.holds)],
  [/\bright of\b/g, toAll(right.holds)],
  [/\b(above|over|on top of)\b/g, toAll(above.holds)],
  [/\b(below|under|beneath|underneath)\b/g, toAll(below.holds)],
  [/\bbetween\b/g, between],
  [/\bon the left\b(?! of)/g, toOthers(left.holds)],
  [/\bon the right\b(?! of)/g, toOthers(right.holds)],
  [/\bat the top\b/g, toOthers(above.holds)],
  [/\bat the bottom\b/g, toOthers(below.holds)],
  [/\bin the middle\b/g, inTheMiddle],
  [/\bfrom left to right\b/g, inOrder(left.holds)],
  [/\bfrom top to bottom\b/g, inOrder(above.holds)],
];

const claimsOf = (text: string): Claim[] =>
  claims
    .flatMap(([pattern, holds]) =>
      [...text.matchAll(pattern)].map(({ index, 0: { length } }) => ({ start: index, end: index + length, holds })),
    )
    .sort((a, b) => a.start - b.start);

/**
 * A claim is about what is named since the claim before it, and until the one after it; where a text begins with a place,
 * the thing follows each.
 */
function relationsHold(scene: Scene, mentions: readonly Mention[], stated: readonly Claim[]): boolean {
  const named = (from: number, to: number) =>
    mentions.filter(({ start, end }) => start >= from && end <= to).map(({ object }) => object);
  const placeFirst = named(0, stated[0]?.start ?? 0).length === 0;
  const holds = stated.map((claim, i) => {
    const before = named(stated[i - 1]?.end ?? 0, claim.start);
    const after = named(claim.end, stated[i + 1]?.start ?? Number.POSITIVE_INFINITY);
    return placeFirst ? claim.holds(after, before, scene.objects) : claim.holds(before, after, scene.objects);
  });
  return holds.length > 0 && holds.every(Boolean);
}
