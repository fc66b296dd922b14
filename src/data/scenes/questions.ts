import type { Random } from '../../core/index.ts';
import { colorOf } from './background.ts';
import { definite, nounPhrase, verbOf } from './grammar.ts';
import { articleOf, type SceneNoun } from './noun.ts';
import { type Question, relations, type Scene, type SceneObject } from './scene.ts';

/**
 * Questions with a true answer each: "where" is asked once for every answer that it has. `absent` is a noun that the scene
 * does not show.
 */
export function askAbout(random: Random, scene: Omit<Scene, 'questions'>, absent: SceneNoun): Question[] {
  const { objects, background } = scene;
  const present = random.pick(objects).noun;
  return [
    { kind: 'what', question: 'what is in the picture?', answer: list(objects.map(nounPhrase)) },
    ...objects.flatMap((object) => relationQuestions(object, objects)),
    ...objects.flatMap(howMany),
    { kind: 'color', question: 'what color is the background?', answer: colorOf(background) },
    { kind: 'is there', question: isThere(present), answer: 'yes' },
    { kind: 'is there', question: isThere(absent), answer: 'no' },
  ];
}

/** What stands in a relation to the object, where only one thing does; and where that thing is. */
function relationQuestions(object: SceneObject, objects: readonly SceneObject[]): Question[] {
  return Object.values(relations).flatMap(({ phrase, holds }) => {
    const [other, ...more] = objects.filter((candidate) => holds(candidate, object));
    if (other === undefined || more.length > 0) return [];
    const place = `${phrase} ${definite(object)}`;
    return [
      { kind: 'what', question: `what is ${place}?`, answer: nounPhrase(other) },
      { kind: 'where', question: `where ${verbOf(other)} ${definite(other)}?`, answer: place },
    ];
  });
}

function howMany({ noun, boxes }: SceneObject): Question[] {
  if (noun.plural === undefined) return [];
  return [{ kind: 'how many', question: `how many ${noun.plural} are there?`, answer: String(boxes.length) }];
}

const isThere = (noun: SceneNoun): string =>
  noun.plural === undefined
    ? `${verbOf({ noun, boxes: [] })} there any ${noun.name}?`
    : `is there ${articleOf(noun.name)} ${noun.name}?`;

const list = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
