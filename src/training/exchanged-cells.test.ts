import { expect, it } from 'vitest';
import { floats, random } from '../core/index.ts';
import {
  cellsOf,
  composeScene,
  type ImageTextRecord,
  sceneVocabulary,
  scoreSceneCaption,
  standsAlone,
} from '../data/index.ts';
import { type ExchangeOptions, exchangeCells } from './exchanged-cells.ts';
import type { Batch } from './training-data.ts';

const vocabulary = sceneVocabulary(
  ['a cat', 'a red apple', 'scissors', 'an hourglass', 'a mouse', 'a wine glass', 'a drum', 'a key'].map(
    (caption, id) => ({
      ...{ id, image: `${id}.webp`, caption, captions: [caption], source: 'emoji-noto' },
      ...{ group: 'objects', subgroup: 'tool', split: 'train' },
    }),
  ),
);

/** Scenes, and the features of a grid of 4 x 4 after one class token: the row's number everywhere. */
const scenes = Array.from({ length: 24 }, (_, i) => composeScene(random(i, 'scene'), vocabulary));
const [side, width] = [4, 2];
const tokens = 1 + side * side;
const batch: Batch<ImageTextRecord> = {
  name: 'scenes',
  items: scenes.map((scene, index) => ({
    ...{ dataset: 0, epoch: 0, index, unit: index },
    record: {
      ...{ id: `${index}`, imageId: `${index}`, captions: scene.captions },
      image: { kind: 'scene', folder: '', scene },
    },
  })),
  imageFeeds: {
    imageEmbeds: floats(
      [scenes.length, tokens, width],
      scenes.flatMap((_, row) => Array<number>(tokens * width).fill(row)),
    ),
  },
};
const exchange = (options: Partial<ExchangeOptions> = {}, step = 0, prefixTokens = 1) =>
  exchangeCells({ prefixTokens }, { rate: 1, seed: 5, ...options })(batch, step);

it("gives a scene another's things, in its features and in its captions", () => {
  const { items, imageFeeds } = exchange();
  let exchanged = 0;
  for (const [row, { record }] of items.entries()) {
    const data = [...imageFeeds.imageEmbeds!.data].map(Number).slice(row * tokens * width, (row + 1) * tokens * width);
    const from = /with parts of (.*)$/.exec(record.id)?.[1]?.split(', ').map(Number);
    if (from === undefined) {
      expect(new Set(data)).toEqual(new Set([row]));
      expect(record.captions).toBe(scenes[row]!.captions);
      continue;
    }
    exchanged += 1;
    const cells = cellsOf(scenes[row]!);
    const at = (index: number) => data[index * width]!;
    expect(at(0)).toBeCloseTo(from.reduce((a, b) => a + b) / from.length, 5);
    for (let patch = 0; patch < side * side; patch++) {
      const [x, y] = [((patch % side) + 0.5) / side, (Math.floor(patch / side) + 0.5) / side];
      const cell = cells.findIndex((cell) => x > cell.x[0] && x < cell.x[1] && y > cell.y[0] && y < cell.y[1]);
      expect(at(1 + patch)).toBe(from[cell]);
    }
    const objects = cells.map((cell, i) => {
      const other = scenes[from[i]!]!;
      return other.objects.find((object) => standsAlone(other, object, cell))!;
    });
    for (const caption of record.captions) {
      const score = scoreSceneCaption({ ...scenes[row]!, objects }, caption);
      expect(score).toMatchObject({ allNamed: true, relationRight: true });
    }
  }
  expect(exchanged).toBeGreaterThan(3);
});

it('draws by the seed and the step alone, and as many as it is told', () => {
  const ids = (...args: Parameters<typeof exchange>) => exchange(...args).items.map(({ record }) => record.id);
  expect(ids({}, 3)).toEqual(ids({}, 3));
  expect(ids({}, 3)).not.toEqual(ids({}, 4));
  expect(ids({}, 3)).not.toEqual(ids({ seed: 6 }, 3));
  expect(ids({ rate: 0 }, 3)).toEqual(batch.items.map(({ record }) => record.id));
});

it('leaves the batch that it was given as it was', () => {
  const before = [...batch.imageFeeds.imageEmbeds!.data];
  exchange();
  expect([...batch.imageFeeds.imageEmbeds!.data]).toEqual(before);
});

it('asks for the features of square pictures', () => {
  expect(() => exchange({}, 0, 3)).toThrow(/exchange_cells: expected patches of a square picture, found 14/);
});
