import { expect, it } from 'vitest';
import { floats, random, type Value } from '../core/index.ts';
import { cellsOf, composeScene, type ImageTextRecord, type Scene, sceneVocabulary } from '../data/index.ts';
import type { Drawn } from './step-images.ts';
import { type StyleShiftOptions, styleShifts } from './style-shifts.ts';
import type { Batch, Pictures } from './training-data.ts';

/** A grid of 4 x 4 after one class token. */
const [side, width] = [4, 3];
const tokens = 1 + side * side;

const drawn = (record: ImageTextRecord, index: number): Drawn<ImageTextRecord> => ({
  ...{ dataset: 0, epoch: 0, index, unit: index, record },
});

const captions = ['a cat', 'a drum', 'a key', 'scissors', 'a wine glass', 'an hourglass'];
/** Each caption's picture in four styles. */
const pictures = captions.flatMap((caption) =>
  [0, 1, 2, 3].map((style): ImageTextRecord => {
    const id = `${caption} in style ${style}`;
    return { id, imageId: id, image: { kind: 'file', path: id }, captions: [caption] };
  }),
);

/** A picture's features: its caption in the last number, its style in the first of patches and in the second of the class token. */
const featuresOf = ({ record }: Drawn<ImageTextRecord>): number[] => {
  const caption = 1000 * (1 + captions.indexOf(record.captions[0]!));
  const style = Number(record.id.at(-1));
  const patches = Array.from({ length: side * side }, () => [style, 0, caption]);
  return [0, style, caption, ...patches.flat()];
};

const training: Pictures<ImageTextRecord> = {
  all: () => pictures.map(drawn),
  features: async (read): Promise<Value> => floats([read.length, tokens, width], read.flatMap(featuresOf)),
};

const vocabulary = sceneVocabulary(
  captions.map((caption, id) => ({
    ...{ id, image: `${id}.webp`, caption, captions: [caption], source: 'emoji-noto' },
    ...{ group: 'objects', subgroup: 'tool', split: 'train' },
  })),
);
const scenes = Array.from({ length: 12 }, (_, i) => composeScene(random(i, 'scene'), vocabulary));
const sceneRecord = (scene: Scene, i: number): ImageTextRecord => ({
  ...{ id: `scene ${i}`, imageId: `scene ${i}`, captions: scene.captions, image: { kind: 'scene', folder: '', scene } },
});
const records = [...scenes.map(sceneRecord), pictures[0]!];
const batch: Batch<ImageTextRecord> = {
  name: 'scenes and a picture',
  items: records.map(drawn),
  imageFeeds: {
    imageEmbeds: floats([records.length, tokens, width], new Float32Array(records.length * tokens * width).fill(7)),
  },
};

const shift = (options: Partial<StyleShiftOptions> = {}, step = 0, data = training) =>
  styleShifts({ prefixTokens: 1 }, { strength: 2, seed: 5, ...options })(batch, step, data);

it('moves each thing by what styles make different, and by nothing that captions do', async () => {
  const { items, imageFeeds } = await shift();
  expect(items).toBe(batch.items);
  const data = [...imageFeeds.imageEmbeds!.data].map((x) => Number(x) - 7);
  const found = new Set<number>();
  for (const row of records.keys()) {
    const image = records[row]!.image;
    const cells = image.kind === 'scene' ? cellsOf(image.scene) : [{ x: [0, 1], y: [0, 1] } as const];
    const token = (index: number) => data.slice((row * tokens + index) * width, (row * tokens + index + 1) * width);
    const shifts = cells.map(() => new Set<number>());
    for (let patch = 0; patch < side * side; patch++) {
      const [x, y] = [((patch % side) + 0.5) / side, (Math.floor(patch / side) + 0.5) / side];
      const cell = cells.findIndex((cell) => x >= cell.x[0] && x < cell.x[1] && y >= cell.y[0] && y < cell.y[1]);
      const [style, ...others] = token(1 + patch);
      expect(others).toEqual([0, 0]);
      shifts[cell]!.add(style!);
    }
    for (const each of shifts) expect(each.size).toBeLessThanOrEqual(1); // a cell that no patch's middle is in has none
    const alone = shifts.flatMap((each) => [...each]);
    for (const x of alone) {
      expect(Math.abs(x)).toBeLessThanOrEqual(2 * 3);
      found.add(x);
    }
    const [first, style, last] = token(0);
    expect([first, last]).toEqual([0, 0]);
    if (alone.length === cells.length) expect(style).toBeCloseTo(alone.reduce((a, b) => a + b) / cells.length, 5);
  }
  expect(found.size).toBeGreaterThan(records.length);
});

it('draws by the seed and the step alone, and leaves the batch that it was given as it was', async () => {
  const data = async (...args: Parameters<typeof shift>) => [...(await shift(...args)).imageFeeds.imageEmbeds!.data];
  expect(await data({}, 3)).toEqual(await data({}, 3));
  expect(await data({}, 3)).not.toEqual(await data({}, 4));
  expect(await data({}, 3)).not.toEqual(await data({ seed: 6 }, 3));
  expect([...batch.imageFeeds.imageEmbeds!.data].every((x) => x === 7)).toBe(true);
});

it('asks for pictures that share a caption', async () => {
  const all = () => [...pictures.slice(0, 1), ...pictures.slice(4, 5), ...scenes.map(sceneRecord)].map(drawn);
  await expect(shift({}, 0, { ...training, all })).rejects.toThrow(
    /style_shift: expected pictures that share a caption in data.train, found none/,
  );
});
