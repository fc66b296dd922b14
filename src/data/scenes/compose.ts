import { DataError, type Random } from '../../core/index.ts';
import type { CutoutRow } from '../cutout.ts';
import { drawBackground, nameBackground } from './background.ts';
import { drawPhrasings, exchange, say } from './grammar.ts';
import { layOut } from './layout.ts';
import { drawLook } from './look.ts';
import { type SceneNoun, sceneNoun, standApart } from './noun.ts';
import { askAbout } from './questions.ts';
import { type Arrangement, arrangements, rowsOf, type Scene, type SceneObject } from './scene.ts';

/** A noun and the cut-outs that show it. */
export interface SceneEntry {
  readonly noun: SceneNoun;
  readonly pictures: readonly { readonly id: number; readonly image: string }[];
  /** Whether a mirror image is still what the noun says. */
  readonly mirrors: boolean;
}

/** The things that scenes can be made of: the rows with a usable noun, by noun. */
export function sceneVocabulary(rows: readonly CutoutRow[]): SceneEntry[] {
  const entries = new Map<string, { noun: SceneNoun; pictures: { id: number; image: string }[]; mirrors: boolean }>();
  for (const row of rows) {
    const noun = sceneNoun(row);
    if (noun === undefined) continue;
    const entry = entries.get(noun.name) ?? { noun, pictures: [], mirrors: true };
    entries.set(noun.name, entry);
    entry.pictures.push({ id: row.id, image: row.image });
    entry.mirrors &&= canMirror(row);
  }
  return [...entries.values()];
}

/** Symbols, clocks and whatever is named by its side or carries text change their meaning in a mirror. */
const canMirror = (row: CutoutRow): boolean =>
  row.group !== 'symbols' &&
  row.subgroup !== 'time' &&
  !/\b(left|right|clock|watch|arrow|moon|map|book|newspaper|calendar|sign|flag|keyboard)\b/.test(row.caption);

export interface ComposeOptions {
  /** The side of the canvas in pixels. Default: 224. */
  readonly size?: number;
  /** How many captions. Default: 5. */
  readonly captions?: number;
  /** Say two captions with the place first: "on the left a cat, on the right a dog". Default: false. */
  readonly places?: boolean;
  /** The share of cut-outs that are drawn with another look. Default: 0. */
  readonly looks?: number;
}

/** How often each arrangement is drawn, as shares of one. */
const shares: Readonly<Record<Arrangement, number>> = {
  '1': 0.2,
  '2': 0.28,
  '1+1': 0.22,
  '3': 0.07,
  '1+1+1': 0.05,
  '1+2': 0.06,
  '2+1': 0.06,
  '2+2': 0.06,
};

/** By the number of objects, how many copies of each there may be, as digits; never more than four pictures in all. */
const copies: Readonly<Record<number, readonly string[]>> = {
  1: ['1', '1', '2', '3', '4'],
  2: ['11', '11', '11', '11', '21', '12', '22', '31', '13'],
  3: ['111', '111', '111', '211', '121', '112'],
  4: ['1111'],
};

/**
 * A random scene: one to four objects in relation to each other on a background, with captions and questions. The
 * same draws and vocabulary give the same scene.
 */
export function composeScene(random: Random, vocabulary: readonly SceneEntry[], options: ComposeOptions = {}): Scene {
  const { size = 224, captions: captionCount = 5, places = false, looks = 0 } = options;
  const arrangement = drawArrangement(random);
  const wanted = rowsOf(arrangement).reduce((sum, n) => sum + n, 0);
  const [absent, ...entries] = drawEntries(random, vocabulary, wanted + 1);
  const counts = [...random.pick(copies[wanted]!)].map((digit, i) => (entries[i]!.noun.plural ? Number(digit) : 1));
  const boxes = layOut(random, arrangement, { counts, size });
  const objects = entries.map(({ noun, pictures, mirrors }, i): SceneObject => {
    return { noun, picture: random.pick(pictures), flip: mirrors && random.chance(0.5), boxes: boxes[i]! };
  });
  const background = drawBackground(random, new Set(entries.flatMap(({ noun }) => noun.name.split(' '))));
  const phrasings = drawPhrasings(random, arrangement, { captions: captionCount, places });
  const captions = phrasings.map((phrasing) => say(objects, background, phrasing));
  const scene = { size, background, arrangement, objects, phrasings, caption: captions[0]!, captions };
  return withLooks(random, { ...scene, questions: askAbout(random, scene, absent!.noun) }, looks);
}

/** The scene with a share of its cut-outs drawn otherwise. Drawn last: without, all else stays the same. */
function withLooks(random: Random, scene: Scene, share: number): Scene {
  if (share === 0) return scene;
  const objects = scene.objects.map((object) =>
    random.chance(share) ? { ...object, look: drawLook(random, object.noun.name) } : object,
  );
  return { ...scene, objects };
}

/**
 * The same things on the same ground with two of them exchanged, as `swapCaption` exchanges them, and said the same way: what
 * the first scene's captions say is false here, and but for the order of words nothing tells theirs from these. The questions
 * stay behind. Undefined where a scene has one object.
 */
export function exchangeObjects(random: Random, scene: Scene): Scene | undefined {
  const { arrangement, background, size, phrasings } = scene;
  const exchanged = exchange(scene);
  if (!exchanged) return undefined;
  const counts = exchanged.map(({ boxes }) => boxes.length);
  const boxes = layOut(random, arrangement, { counts, size });
  const objects = exchanged.map((object, i): SceneObject => ({ ...object, boxes: boxes[i]! }));
  const captions = phrasings.map((phrasing) => say(objects, background, phrasing));
  return { size, background, arrangement, objects, phrasings, caption: captions[0]!, captions, questions: [] };
}

function drawArrangement(random: Random): Arrangement {
  let left = random.uniform();
  for (const arrangement of arrangements) {
    left -= shares[arrangement];
    if (left < 0) return arrangement;
  }
  return '1';
}

/** Different entries that can stand in one caption. */
function drawEntries(random: Random, vocabulary: readonly SceneEntry[], count: number): SceneEntry[] {
  const drawn: SceneEntry[] = [];
  for (let attempt = 0; drawn.length < count; attempt++) {
    if (vocabulary.length === 0 || attempt === 1000) {
      throw new DataError(`a scene needs ${count} cut-outs with different nouns, found ${drawn.length} in the data`);
    }
    const entry = random.pick(vocabulary);
    if (drawn.every(({ noun }) => standApart(noun, entry.noun))) drawn.push(entry);
  }
  return drawn;
}

/**
 * One cut-out at a random size and place on a random background: strong augmentation for single pictures. The captions
 * are the row's own; half of the time they also tell the background.
 */
export function composeSingle(
  random: Random,
  row: CutoutRow,
  options: Pick<ComposeOptions, 'size' | 'looks'> = {},
): Scene {
  const { size = 224, looks = 0 } = options;
  const side = Math.round(size * random.between(0.4, 1));
  const place = () => Math.floor(random.uniform() * (size - side + 1));
  const noun = { name: row.caption, head: row.caption };
  const object: SceneObject = {
    noun,
    picture: { id: row.id, image: row.image },
    flip: canMirror(row) && random.chance(0.5),
    boxes: [{ left: place(), top: place(), width: side, height: side }],
  };
  const background = drawBackground(random, new Set(row.caption.split(' ')));
  const ground = random.chance(0.5) ? ' on ' : '';
  const captions = row.captions.map((caption) =>
    ground ? `${caption}${ground}${nameBackground(background)}` : caption,
  );
  const phrasings = [{ statement: '{a}', opening: '', ground }];
  const scene = { size, background, objects: [object], phrasings, caption: captions[0]!, captions, questions: [] };
  return withLooks(random, { ...scene, arrangement: '1' }, looks);
}
