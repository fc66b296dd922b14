import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { random } from '../../core/index.ts';
import { decodeImage, type RawImage } from '../../image/index.ts';
import { type CutoutRow, readCutouts } from '../cutout.ts';
import {
  type Cell,
  captionsOfCells,
  cellsOf,
  composeScene,
  composeSingle,
  exchangeObjects,
  nameBackground,
  renderScene,
  type Scene,
  sceneNoun,
  sceneVocabulary,
  scoredScenes,
  scoreSceneCaption,
  standsAlone,
  swapCaption,
} from './index.ts';
import { pluralOf } from './noun.ts';

const row = (id: number, caption: string, fields: Partial<CutoutRow> = {}): CutoutRow => ({
  ...{ id, image: `${id}.webp`, caption, captions: [caption], source: 'emoji-noto' },
  ...{ group: 'objects', subgroup: 'tool', split: 'train', ...fields },
});
const captions = [
  'a cat',
  'a red apple',
  'scissors',
  'a yellow heart',
  'bread',
  'an hourglass',
  'a mouse',
  'a wine glass',
];
const rows = captions.map((caption, id) => row(id, caption));
const vocabulary = sceneVocabulary(rows);
const scene = fc.nat().map((seed) => composeScene(random(seed, 'scene'), vocabulary));
const dataset = process.env.DATASET_DIR ?? '../shared/dataset';

/** The first scene, by seed, that fits. */
function find(fits: (scene: Scene) => boolean): Scene {
  for (let seed = 0; ; seed++) {
    const candidate = composeScene(random(seed, 'scene'), vocabulary);
    if (fits(candidate)) return candidate;
  }
}

describe('nouns', () => {
  it.each([
    ['a red apple', { name: 'red apple', head: 'apple', plural: 'red apples' }],
    ['an ear of corn', { name: 'ear of corn', head: 'ear', plural: 'ears of corn' }],
    ['a computer mouse', { name: 'computer mouse', head: 'mouse', plural: 'computer mice' }],
    ['wine glass', { name: 'wine glass', head: 'glass', plural: 'wine glasses' }],
    ['scissors', { name: 'scissors', head: 'scissors' }],
    ['a spaghetti', { name: 'spaghetti', head: 'spaghetti' }],
    ['a woman getting haircut', undefined],
    ['a leaf fluttering in wind', undefined],
    ['a pluto, until recently, it was considered the 9th planet', undefined],
    ['a right arrow', undefined],
  ])('%s', (caption, noun) => expect(sceneNoun(row(0, caption))).toEqual(noun));

  it('leaves out pictures that differ in a detail only', () => {
    const face = { group: 'smileys-emotion', subgroup: 'face-concerned' };
    expect(sceneNoun(row(0, 'a weary face', face))).toBeUndefined();
    expect(sceneNoun(row(0, 'a red heart', { ...face, subgroup: 'heart' }))).toBeDefined();
  });

  it('have the plurals of a dictionary', () => {
    const plurals = {
      ...{ leaf: 'leaves', knife: 'knives', wolf: 'wolves', snowman: 'snowmen', person: 'people', tooth: 'teeth' },
      ...{ potato: 'potatoes', banjo: 'banjos', cherry: 'cherries', key: 'keys', bus: 'buses', brush: 'brushes' },
      ...{ fish: 'fish', goose: 'geese', mongoose: 'mongooses', house: 'houses', blouse: 'blouses', die: 'dice' },
    };
    expect(Object.fromEntries(Object.keys(plurals).map((noun) => [noun, pluralOf(noun)]))).toEqual(plurals);
  });
});

describe('an exchanged scene', () => {
  it("shows the same, and is what the first one's exchanged captions say", () => {
    fc.assert(
      fc.property(scene, fc.nat(), (first, seed) => {
        const twin = exchangeObjects(random(seed, 'twin'), first);
        expect(twin === undefined).toBe(first.objects.length === 1);
        if (!twin) return;
        const shown = ({ objects }: Scene) => objects.map((o) => [o.picture.id, o.boxes.length]).sort();
        expect(shown(twin)).toEqual(shown(first));
        expect(twin.captions).toEqual(first.captions.map((_, i) => swapCaption(first, i)));
        for (const [i] of first.captions.entries()) {
          const score = scoreSceneCaption(twin, swapCaption(first, i)!);
          expect(score).toMatchObject({ allNamed: true, relationRight: true });
        }
      }),
    );
  });
});

describe('looks', () => {
  const composed = (seed: number, looks: number) => composeScene(random(seed, 'scene'), vocabulary, { looks });

  it('change nothing else of a scene, and stay with its things', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(0.5, 1), (seed, looks) => {
        const scene = composed(seed, looks);
        const plain = { ...scene, objects: scene.objects.map(({ look, ...object }) => object) };
        expect(plain).toEqual(composed(seed, 0));
        if (looks === 1) expect(scene.objects.every(({ look }) => look !== undefined)).toBe(true);
        const twin = exchangeObjects(random(seed, 'twin'), scene);
        const lookOf = ({ objects }: Scene) => new Map(objects.map(({ picture, look }) => [picture.id, look]));
        if (twin) expect(lookOf(twin)).toEqual(lookOf(scene));
      }),
    );
  });

  it('leave the hue of what is called by it', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        for (const { noun, look } of composed(seed, 1).objects) {
          if (/red|yellow/.test(noun.name)) expect(look).toMatchObject({ hue: 0, saturation: expect.any(Number) });
          if (/red|yellow/.test(noun.name)) expect(look!.saturation).toBeGreaterThan(0.5);
        }
      }),
    );
  });

  it('are drawn within the boxes, and are another picture', async () => {
    const red: RawImage = { width: 30, height: 20, channels: 4, data: new Uint8Array(2400) };
    for (let i = 0; i < 2400; i += 4) red.data.set([220, 30, 40, 255], i);
    const plain = composed(3, 0);
    const background = { kind: 'plain', names: ['white'], color: [255, 255, 255] } as const;
    const drawn = async (scene: Scene) => renderScene({ ...scene, background }, async () => red);
    const { size, objects } = plain;
    const looked = await drawn(composed(3, 1));
    expect(looked.data).not.toEqual((await drawn(plain)).data);
    expect(looked.data).toEqual((await drawn(composed(3, 1))).data);
    const boxes = objects.flatMap((object) => object.boxes);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const inside = boxes.some(
          (box) => x >= box.left && x < box.left + box.width && y >= box.top && y < box.top + box.height,
        );
        if (!inside) expect(looked.data[(y * size + x) * 3]).toBe(255);
      }
    }
  });
});

describe('cells of scenes', () => {
  it('have captions that name all that stands in them and say truly how', () => {
    let joined = 0;
    fc.assert(
      fc.property(scene, fc.array(scene, { minLength: 20, maxLength: 20 }), fc.nat(), (one, others, seed) => {
        fc.pre(one.objects.length > 1);
        const objects = cellsOf(one).map((cell, i) => {
          const found = others.flatMap((other) => other.objects.filter((object) => standsAlone(other, object, cell)));
          return found[0] ?? one.objects[i]!;
        });
        const captions = captionsOfCells(random(seed, 'cells'), one.arrangement, objects);
        if (!captions) return;
        joined += 1;
        for (const caption of captions) {
          expect(scoreSceneCaption({ ...one, objects }, caption)).toMatchObject({
            allNamed: true,
            relationRight: true,
          });
          expect(caption).not.toMatch(/background/);
        }
      }),
      { numRuns: 200 },
    );
    expect(joined).toBeGreaterThan(10);
  });

  it('divide the picture, and hold one object each', () => {
    const area = ({ x, y }: Cell) => (x[1] - x[0]) * (y[1] - y[0]);
    fc.assert(
      fc.property(scene, (scene) => {
        const cells = cellsOf(scene);
        expect(cells.map(area).reduce((a, b) => a + b)).toBeCloseTo(1, 10);
        for (const [i, cell] of cells.entries()) {
          expect(scene.objects.map((object) => standsAlone(scene, object, cell))).toEqual(
            scene.objects.map((_, j) => i === j),
          );
        }
      }),
    );
  });

  it('are not put together where names contain each other, or boxes overlap', () => {
    const object = (name: string, left: number, width: number) => ({
      ...{ noun: { name, head: name, plural: `${name}s` }, picture: { id: 0, image: '' }, flip: false },
      boxes: [{ left, top: 0, width, height: 50 }],
    });
    const cat = object('cat', 0, 100);
    const captions = (...others: Parameters<typeof object>[]) =>
      captionsOfCells(random(1), '2', [cat, ...others.map((other) => object(...other))]);
    expect(captions(['hat', 120, 104])?.join()).toMatch(/cat.*hat|hat.*cat/);
    expect(captions(['black cat', 120, 104])).toBeUndefined();
    expect(captions(['hat', 99, 125])).toBeUndefined();
  });
});

describe('scenes', () => {
  it('are drawn by the seed alone', () => {
    const draw = (seed: number) => composeScene(random(seed, 'scene'), vocabulary);
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });

  it('keep their boxes on the canvas and apart', () => {
    fc.assert(
      fc.property(scene, ({ objects, size }) => {
        const boxes = objects.flatMap((object) => object.boxes);
        expect(boxes.length).toBeLessThanOrEqual(4);
        for (const [i, a] of boxes.entries()) {
          expect(Math.min(a.left, a.top, a.width - 40)).toBeGreaterThanOrEqual(0);
          expect(Math.max(a.left + a.width, a.top + a.height)).toBeLessThanOrEqual(size);
          for (const b of boxes.slice(i + 1)) {
            const across = a.left + a.width <= b.left || b.left + b.width <= a.left;
            const along = a.top + a.height <= b.top || b.top + b.height <= a.top;
            expect(across || along).toBe(true);
          }
        }
      }),
    );
  });

  it('have captions that name every object and state true relations, which a swap makes false', () => {
    fc.assert(
      fc.property(scene, (scene) => {
        for (const [i, caption] of scene.captions.entries()) {
          const several = scene.objects.length > 1 ? true : undefined;
          expect(scoreSceneCaption(scene, caption)).toEqual({
            ...{ named: scene.objects.length, allNamed: true, relationRight: several },
          });
          const swapped = swapCaption(scene, i);
          expect(swapped === undefined).toBe(several === undefined);
          if (swapped !== undefined) {
            expect(scoreSceneCaption(scene, swapped)).toMatchObject({ allNamed: true, relationRight: false });
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it('have questions whose answers are true', () => {
    fc.assert(
      fc.property(scene, ({ objects, background, questions }) => {
        const names = objects.map(({ noun }) => noun.name);
        const there = questions.filter(({ kind }) => kind === 'is there');
        expect(there.map(({ answer }) => answer)).toEqual(['yes', 'no']);
        expect(names.filter((name) => there[0]!.question.includes(name))).not.toEqual([]);
        expect(names.filter((name) => there[1]!.question.includes(` ${name}?`))).toEqual([]);
        for (const { kind, question, answer } of questions) {
          if (kind === 'color') expect(nameBackground(background)).toContain(answer);
          if (kind !== 'how many') continue;
          const counted = objects.find(({ noun }) => question === `how many ${noun.plural} are there?`);
          expect(counted?.boxes.length).toBe(Number(answer));
        }
      }),
    );
  });

  it('speak grammatically of numbers', () => {
    const two = find(({ objects }) => objects.length === 1 && objects[0]!.boxes.length === 2);
    const { plural } = two.objects[0]!.noun;
    expect(two.captions.every((caption) => caption.includes(`two ${plural}`))).toBe(true);
    expect(two.captions.filter((caption) => caption.includes('there is'))).toEqual([]);
    const glass = find(({ objects }) => objects[0]!.noun.name === 'hourglass' && objects[0]!.boxes.length === 1);
    expect(glass.captions.every((caption) => caption.includes('an hourglass'))).toBe(true);
  });

  it('need enough different nouns', () => {
    expect(() => composeScene(random(1), sceneVocabulary(rows.slice(0, 1)))).toThrow(/different nouns, found 1/);
  });

  it('may say the place first in two captions, and are the same scenes then', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const draw = (places: boolean) => composeScene(random(seed, 'scene'), vocabulary, { places });
        const [plain, placed] = [draw(false), draw(true)];
        const { captions, phrasings } = plain;
        expect({ ...placed, captions, phrasings }).toEqual(plain);
        const first = placed.captions.filter((caption, i) => caption !== captions[i]);
        expect(first).toHaveLength(plain.objects.length > 1 ? 2 : 0);
        for (const caption of first) {
          expect(caption).toMatch(/^(on|at) the (left|right|top|bottom) /);
          expect(scoreSceneCaption(placed, caption)).toMatchObject({ allNamed: true, relationRight: true });
          const swapped = swapCaption(placed, placed.captions.indexOf(caption))!;
          expect(scoreSceneCaption(placed, swapped)).toMatchObject({ allNamed: true, relationRight: false });
        }
      }),
    );
  });
});

describe('the score of a caption', () => {
  const pair = find(
    ({ arrangement, objects }) =>
      arrangement === '2' && objects[0]!.noun.name === 'cat' && objects[1]!.noun.name === 'red apple',
  );
  it.each([
    ['a cat to the left of a red apple', true, true],
    ['two cats left of red apples', true, true],
    ['a red apple on the right and a cat on the left', true, true],
    ['from left to right, a cat and a red apple', true, true],
    ['on the left a cat, on the right a red apple', true, true],
    ['on the right a cat, on the left a red apple', true, false],
    ['a red apple to the left of a cat', true, false],
    ['a cat above a red apple', true, false],
    ['a cat and a red apple', true, false],
    ['a catfish to the left of a red apple', false, undefined],
    ['a black cat to the left of a red apple', false, undefined],
    ['a cat to the left of an apple', false, undefined],
  ])('%s', (caption, allNamed, relationRight) =>
    expect(scoreSceneCaption(pair, caption)).toMatchObject({ allNamed, relationRight }),
  );

  it('by head nouns is lenient', () => {
    const text = 'a black cat to the left of apples';
    expect(scoreSceneCaption(pair, text, { lenient: true })).toEqual({ named: 2, allNamed: true, relationRight: true });
  });
});

describe('pixels', () => {
  const red: RawImage = { width: 2, height: 1, channels: 4, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 0, 0) };

  it('are drawn in the boxes, and nowhere else', async () => {
    const plain = find(({ background, objects }) => background.kind === 'plain' && objects.length > 1);
    const { data } = await renderScene(plain, async () => red);
    const inBox = (x: number, y: number) =>
      plain.objects.some(({ boxes }) =>
        boxes.some((b) => x >= b.left && x < b.left + b.width && y >= b.top && y < b.top + b.height),
      );
    const wrong = [];
    for (let y = 0; y < plain.size; y++) {
      for (let x = 0; x < plain.size; x++) {
        const pixel = [...data.subarray((y * plain.size + x) * 3, (y * plain.size + x) * 3 + 3)];
        const expected = inBox(x, y) ? [255, 0, 0] : plain.background.kind === 'plain' ? plain.background.color : [];
        if (pixel.join() !== expected.join()) wrong.push({ x, y, pixel });
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each(['gradient', 'texture'])('of a %s repeat', async (kind) => {
    const scene = find(({ background }) => background.kind === kind);
    const [first, again] = [await renderScene(scene, async () => red), await renderScene(scene, async () => red)];
    expect(first).toEqual(again);
    expect(new Set(first.data).size).toBeGreaterThan(20);
  });
});

it('a single picture keeps its captions, whatever they say', () => {
  const odd = row(5, 'eat your broccoli', { captions: ['eat your broccoli', 'greens'] });
  const singles = Array.from({ length: 20 }, (_, i) => composeSingle(random(i), odd));
  expect(new Set(singles.map(({ objects }) => objects[0]!.boxes[0]!.width)).size).toBeGreaterThan(10);
  for (const { captions, background } of singles) {
    expect(captions[0]).toMatch(/^eat your broccoli/);
    expect(captions[1]!.replace(` on ${nameBackground(background)}`, '')).toBe('greens');
  }
});

describe.skipIf(!existsSync(join(dataset, 'data.jsonl')))('the scored set', () => {
  it('is what it was', async () => {
    const scenes = scoredScenes(await readCutouts(dataset));
    expect(scenes.length).toBe(1000);
    expect(createHash('sha256').update(JSON.stringify(scenes)).digest('hex')).toBe(
      '3897c2cfc7639b8a18f9f2e3e0084683f1e2b492d6d4088c38162a1951e1b511',
    );
  });

  it('shows known labels in a style that training does not show', async () => {
    const all = await readCutouts(dataset);
    const known = new Set(sceneVocabulary(all.filter(({ split }) => split === 'train')).map(({ noun }) => noun.name));
    for (const { objects } of scoredScenes(all)) {
      for (const { noun, picture } of objects) {
        expect(known).toContain(noun.name);
        expect(picture.image).toContain('twemoji');
      }
    }
  });

  it('can be drawn', async () => {
    const [scene] = scoredScenes(await readCutouts(dataset));
    const picture = await renderScene(scene!, (image) => decodeImage(join(dataset, image), { alpha: true }));
    expect(picture).toMatchObject({ width: 224, height: 224, channels: 3 });
  });
});
