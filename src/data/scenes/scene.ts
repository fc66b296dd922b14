import type { Box } from '../../image/index.ts';
import type { Background } from './background.ts';
import type { Look } from './look.ts';
import type { SceneNoun } from './noun.ts';

/** One cut-out of a scene, drawn once or several times. */
export interface SceneObject {
  readonly noun: SceneNoun;
  readonly picture: { readonly id: number; readonly image: string };
  /** Drawn mirrored left to right. */
  readonly flip: boolean;
  /** How it is drawn other than its file has it; absent: as it is. */
  readonly look?: Look;
  /** One box for each copy, in pixels; the cut-out is scaled until it touches its box from inside, and centred. */
  readonly boxes: readonly Box[];
}

/** How a scene's objects stand, in reading order: the numbers of objects in its rows, from top to bottom. */
export const arrangements = ['1', '2', '1+1', '3', '1+1+1', '1+2', '2+1', '2+2'] as const;
export type Arrangement = (typeof arrangements)[number];

export const rowsOf = (arrangement: Arrangement): number[] => arrangement.split('+').map(Number);

/** A caption's form: which statement of the grammar, how it opens, and whether it tells the background. */
export interface Phrasing {
  readonly statement: string;
  readonly opening: string;
  readonly ground: string;
}

export type QuestionKind = 'what' | 'how many' | 'color' | 'where' | 'is there';
export interface Question {
  readonly question: string;
  readonly answer: string;
  readonly kind: QuestionKind;
}

/** A picture before its pixels: what stands where, and what can be said and asked about it. */
export interface Scene {
  /** The side of the square canvas in pixels. */
  readonly size: number;
  readonly background: Background;
  readonly arrangement: Arrangement;
  /** In reading order. */
  readonly objects: readonly SceneObject[];
  readonly phrasings: readonly Phrasing[];
  /** The first of `captions`. */
  readonly caption: string;
  /** One for each phrasing; all are true of the scene and name every object. */
  readonly captions: readonly string[];
  readonly questions: readonly Question[];
}

const right = (box: Box) => box.left + box.width;
const bottom = (box: Box) => box.top + box.height;

/** Whether every copy of `a` stands so to every copy of `b`. */
const every = (a: SceneObject, b: SceneObject, holds: (x: Box, y: Box) => boolean): boolean =>
  a.boxes.every((x) => b.boxes.every((y) => holds(x, y)));

/** The relations between two objects that a caption can state: how it says them, and when they are true. */
export const relations = {
  left: { phrase: 'to the left of', holds: (a, b) => every(a, b, (x, y) => right(x) <= y.left) },
  right: { phrase: 'to the right of', holds: (a, b) => every(a, b, (x, y) => right(y) <= x.left) },
  above: { phrase: 'above', holds: (a, b) => every(a, b, (x, y) => bottom(x) <= y.top) },
  below: { phrase: 'below', holds: (a, b) => every(a, b, (x, y) => bottom(y) <= x.top) },
} as const satisfies Record<string, { phrase: string; holds: (a: SceneObject, b: SceneObject) => boolean }>;
export type Relation = keyof typeof relations;

/** Whether `a` stands between `b` and `c`, in a row or in a column. */
export const standsBetween = (a: SceneObject, b: SceneObject, c: SceneObject): boolean =>
  Object.values(relations).some(({ holds }) => holds(b, a) && holds(a, c));
