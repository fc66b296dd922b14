import type { CutoutRow } from '../cutout.ts';

/** What a cut-out is called in a sentence. */
export interface SceneNoun {
  /** The noun phrase without its article: `red apple`, `scissors`. */
  readonly name: string;
  /** `red apples`; absent where the name cannot be counted (`scissors`, `bread`). */
  readonly plural?: string;
  /** The noun that the phrase is about, for a lenient score: `apple`. */
  readonly head: string;
}

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Whether two nouns can stand in one caption: "a cat" next to "a black cat" would be said wrongly. */
export const standApart = (a: SceneNoun, b: SceneNoun): boolean => !a.name.includes(b.name) && !b.name.includes(a.name);

/** Groups whose pictures are told apart by a detail, a text or a convention, not by what they show at a small size. */
const unclearGroups = words('symbols smileys-emotion people-body flags unsorted science education');
/** Their subgroups that are clear all the same. */
const clearSubgroups = words('heart face-costume person person-fantasy body-parts geometric flag');

/** Words that make a name a relation, a sentence, a number or a nuance that a small drawing does not show. */
const unclearWords = words(`
  and or with without in on at to for by from as is are not no than one two three four five six ten
  above below between over under behind left right up down top bottom middle next near
  another other our my your the some small medium medium-small large low high showing simple stylized new say
  waxing waning gibbous quarter mx older man woman man's woman's
`);
/** Last words that are a state, an activity or a drawing's title rather than a thing. */
const unclearHeads = words(`
  adult air arrival arts badminton biceps bitten bloom blue boom ceremony closed club collision color copyright
  crystal departure dizzy easter effect enthusiast fashion female floppy foggy food free game gender general green
  half hauled highlight hockey hole horizon icon illustration image jazz judo kick lacrosse landscape lcd lit locked
  logo mage mate merperson metro neon object open ours pattern piece point pong portrait print profile prohibited r
  radioactive rail red registered relief route rugby scroll side sight sign silhouette smoke spread station symbol
  template title tux user version video view voltage volume wallpaper warning white yellow zzz
`);
/** Nouns in -ing; other names in -ing are activities. */
const thingsInIng = words('ring wing king painting building dumpling earring pudding');
/** Names that the data gives an article, but English does not count; and the other way round. */
const uncounted = words('spaghetti oden root fire lacrosse coffee lotion hair milk soup pasta confetti bamboo');
const countedBare =
  /(glass|castle|office|camel|leopard|scorpion|swimsuit|basketball|volleyball|softball|baseball|football)$/;

/**
 * The noun of a cut-out, or undefined where its caption does not work as a short, visible noun phrase. Captions with
 * `a` or `an` give nouns that can be counted; bare ones of the same length (`scissors`, `bread`) stand uncounted.
 */
export function sceneNoun(row: Pick<CutoutRow, 'caption' | 'source' | 'group' | 'subgroup'>): SceneNoun | undefined {
  if (unclearGroups.has(row.group) && !clearSubgroups.has(row.subgroup)) return undefined;
  const [, article, name] = /^(an? )?([a-z][a-z' -]*)$/.exec(row.caption) ?? [];
  if (name === undefined) return undefined;
  const parts = name.split(' ');
  // The titles of stamps and clip art are freer than emoji labels: fewer of their long ones are nouns.
  if (parts.length > (row.source.startsWith('emoji') ? 3 : 2)) return undefined;
  const at = parts.includes('of') ? parts.indexOf('of') - 1 : parts.length - 1;
  const head = parts[at]!;
  if (parts.length > 1 && parts.some((part) => unclearWords.has(part))) return undefined;
  if (unclearHeads.has(head) || (head.endsWith('ing') && !thingsInIng.has(head))) return undefined;
  if ((article === undefined && !countedBare.test(name)) || uncounted.has(head)) return { name, head };
  return { name, head, plural: parts.with(at, pluralOf(head)).join(' ') };
}

/** [ending, plural ending], the first that fits. */
const endings: readonly (readonly [RegExp, string])[] = [
  [/(fish|sheep|deer|moose|bison|shrimp|squid|salmon|trout|aircraft)$/, '$1'],
  [/(human|talisman)$/, '$1s'],
  [/man$/, 'men'],
  [/person$/, 'people'],
  [/child$/, 'children'],
  [/^die$/, 'dice'],
  [/foot$/, 'feet'],
  [/tooth$/, 'teeth'],
  [/^goose$/, 'geese'],
  [/mouse$/, 'mice'],
  [/(^|wood)louse$/, '$1lice'],
  [/^ox$/, 'oxen'],
  [/(wol|el|shel|hal|cal|lea|loa|shea|thie|scar)f$/, '$1ves'],
  [/(kni|wi|li)fe$/, '$1ves'],
  [/(potat|tomat|mang|volcan|buffal|mosquit|tornad|torped|her)o$/, '$1oes'],
  [/([^aeiou])y$/, '$1ies'],
  [/(s|x|z|ch|sh)$/, '$1es'],
  [/$/, 's'],
];

/** The plural of one noun: enough of English for the labels of drawings. */
export function pluralOf(noun: string): string {
  const [ending, plural] = endings.find(([pattern]) => pattern.test(noun))!;
  return noun.replace(ending, plural);
}

/** `a` or `an`, by the sound that the name begins with. */
export function articleOf(name: string): 'a' | 'an' {
  if (/^(hour|heir|honest|x-ray)/.test(name)) return 'an';
  return /^[aeiou]/.test(name) && !/^(uni|use|uku|eu|ewe|one)/.test(name) ? 'an' : 'a';
}
