/** Data sets that stand in annotation files beside a folder of pictures, in the layouts of their makers. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError } from '../../core/index.ts';
import { type Dataset, type ImageRecord, openDataset, openQuestions } from './index.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'blip2-annotations-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function put(name: string, content: unknown): Promise<string> {
  const path = join(dir, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}
/** Pictures are not decoded when a data set is opened. */
const putImages = (...names: string[]) => Promise.all(names.map((name) => put(join('images', name), 'pixels')));
const all = <Item extends ImageRecord>(dataset: Dataset<Item>) =>
  Array.from({ length: dataset.length }, (_, i) => dataset.record(i));

/** What is bad is named, or left out and counted, and the rest is there. */
async function expectBad<Item extends ImageRecord>(
  open: (options?: { skipBad: boolean; onSkip: (error: DataError) => void }) => Promise<Dataset<Item>>,
  message: RegExp,
  left: readonly string[],
): Promise<void> {
  await expect(open()).rejects.toThrow(message);
  await expect(open()).rejects.toThrow(DataError);
  const skipped: string[] = [];
  const dataset = await open({ skipBad: true, onSkip: (error) => skipped.push(error.message) });
  expect(all(dataset).map(({ id }) => id)).toEqual(left);
  expect(skipped).toEqual([expect.stringMatching(message)]);
  expect(skipped[0]).not.toContain('\n');
}

describe('karpathy', () => {
  const coco = (cocoid: number, split: string, captions: string[]) => ({
    filepath: 'val2014',
    sentids: captions.map((_, i) => 10 * cocoid + i),
    filename: `COCO_val2014_${String(cocoid).padStart(12, '0')}.jpg`,
    imgid: cocoid - 400,
    split,
    sentences: captions.map((raw, i) => ({
      tokens: raw.split(' '),
      raw,
      imgid: cocoid - 400,
      sentid: 10 * cocoid + i,
    })),
    cocoid,
  });
  const images = [
    coco(522, 'restval', ['A woman  wearing a net. ', 'A cake.\n']),
    coco(523, 'train', ['A dog.']),
    coco(524, 'test', ['A cat.']),
  ];
  const names = images.map(({ filepath, filename }) => join(filepath, filename));
  const open = async (content: unknown, more = {}, options = {}) =>
    openDataset(
      { type: 'karpathy', path: await put('dataset_coco.json', content), images: join(dir, 'images'), ...more },
      options,
    );

  it.each([
    ['train', ['522', '523']],
    ['restval', ['522']],
    ['test', ['524']],
  ])('reads COCO, where %s is %j', async (split, ids) => {
    await putImages(...names);
    const records = all(await open({ images, dataset: 'coco' }, { split }));
    expect(records.map(({ id, imageId }) => [id, imageId])).toEqual(ids.map((id) => [id, id]));
  });

  it('takes the captions as written and the picture from its folder', async () => {
    await putImages(...names);
    const [first] = all(await open({ images, dataset: 'coco' }, { split: 'restval' }));
    expect(first).toEqual({
      ...{ id: '522', imageId: '522', captions: ['A woman  wearing a net.', 'A cake.'] },
      image: { kind: 'file', path: join(dir, 'images/val2014/COCO_val2014_000000000522.jpg') },
    });
  });

  it('reads Flickr30k, which has neither folders nor numbers of its own', async () => {
    await putImages('1000092795.jpg');
    const sentences = [{ tokens: ['two', 'men'], raw: 'Two men.', imgid: 7, sentid: 35 }];
    const image = { sentids: [35], imgid: 7, sentences, split: 'val', filename: '1000092795.jpg' };
    const [record] = all(await open({ images: [image], dataset: 'flickr30k' }, { split: 'val' }));
    expect(record).toMatchObject({ id: '7', captions: ['Two men.'] });
  });

  it.each([
    [
      'a missing image',
      coco(999, 'train', ['a']),
      /dataset_coco\.json: images\.3: field filename: .*no .*000000000999\.jpg/,
    ],
    ['an empty caption', coco(523, 'train', ['a', ' ']), /images\.3 \(COCO.*523\.jpg\): field sentences: .*empty/],
    ['no caption', coco(523, 'train', []), /images\.3 \(COCO.*523\.jpg\): field sentences: .*found none/],
    ['an image twice', coco(523, 'train', ['a']), /dataset_coco\.json: .*523\.jpg: the id 523 is already taken/],
    ['no split', { filename: 'a.jpg' }, /images\.3: field split: .*string/],
    [
      'a filename that is no text',
      { ...coco(523, 'train', ['a']), filename: 3 },
      /images\.3: field filename: .*string/,
    ],
  ])('names %s', async (_, bad, message) => {
    await putImages(...names);
    await expectBad((options) => open({ images: [...images, bad] }, {}, options), message, ['522', '523']);
  });

  it('names a file of another layout', async () => {
    await expect(open([])).rejects.toThrow(/dataset_coco\.json: .*object/);
    await expect(open('{"images": [')).rejects.toThrow(/dataset_coco\.json: expected JSON/);
  });
});

describe('lavis', () => {
  const image = 'val2014/COCO_val2014_000000522418.jpg';
  const open = async (rows: unknown, options = {}) =>
    openDataset({ type: 'lavis', path: await put('rows.json', rows), images: join(dir, 'images') }, options);

  it('reads one caption a row for training, and all of a picture for evaluation', async () => {
    await putImages(image, 'flickr30k-images/1.jpg');
    const train = all(
      await open([
        { caption: 'A woman.', image, image_id: 'coco_522418' },
        { caption: 'A cake.', image, image_id: 'coco_522418' },
        { caption: 'Two men.', image: 'flickr30k-images/1.jpg', image_id: 1 },
      ]),
    );
    expect(train.map(({ imageId, captions }) => [imageId, captions])).toEqual([
      ['522418', ['A woman.']],
      ['522418', ['A cake.']],
      ['1', ['Two men.']],
    ]);
    expect(new Set(train.map(({ id }) => id)).size).toBe(3);
    await putImages('val/0013ea2087020901.jpg'); // NoCaps
    expect(all(await open([{ image: 'val/0013ea2087020901.jpg', caption: ['A baby.'], img_id: 7 }]))).toMatchObject([
      { id: '7', imageId: '7' },
    ]);
    expect(all(await open([{ image, caption: ['A woman.', 'A cake.'] }]))).toMatchObject([
      { id: '522418', imageId: '522418', captions: ['A woman.', 'A cake.'] },
    ]);
  });

  it.each([
    ['a missing image', { image: 'none.jpg', caption: ['a'] }, /rows\.json: 1: field image: .*none\.jpg/],
    ['an empty caption', { image, caption: ['a', ''] }, /rows\.json: 1 \(.*418\.jpg\): field caption: .*empty/],
    ['an image twice', { image, caption: ['a'] }, /rows\.json: .*418\.jpg: the id 522418 is already taken/],
    ['no caption', { image }, /rows\.json: 1: field caption/],
  ])('names %s', async (_, bad, message) => {
    await putImages(image);
    await expectBad((options) => open([{ image, caption: ['a'] }, bad], options), message, ['522418']);
  });
});

describe('vqa', () => {
  const questions = [
    { image_id: 42, question: ' What color is it?', question_id: 42000 },
    { image_id: 42, question: 'Is it red?', question_id: 42001 },
  ];
  const annotation = (question_id: number, answers: string[]) => ({
    question_type: 'what',
    multiple_choice_answer: answers[0] ?? '',
    answers: answers.map((answer, i) => ({ answer, answer_confidence: 'maybe', answer_id: i + 1 })),
    image_id: 42,
    answer_type: 'other',
    question_id,
  });
  const ten = ['red', 'red', 'red', 'red', 'red', 'red', 'dark red', 'dark red', 'pink', 'red'];
  const annotations = [annotation(42001, Array(10).fill('yes')), annotation(42000, ten)];
  const head = { info: {}, license: {}, data_type: 'mscoco', data_subtype: 'val2014' };

  interface Content {
    asked?: readonly unknown[];
    answered?: readonly unknown[];
  }
  const open = async ({ asked = questions, answered = annotations }: Content = {}, options = {}, more = {}) =>
    openQuestions(
      {
        ...{ type: 'vqa', images: join(dir, 'images') },
        questions: await put('questions.json', { ...head, task_type: 'Open-Ended', questions: asked }),
        annotations: await put('annotations.json', { ...head, annotations: answered }),
        ...more,
      },
      options,
    );
  beforeEach(() => putImages('COCO_val2014_000000000042.jpg', '42.png'));

  it('weighs the answers by how many people gave them', async () => {
    const [first, second] = all(await open());
    expect(first).toEqual({
      ...{ id: '42000', imageId: '42', question: 'What color is it?', kind: 'other', references: ten },
      image: { kind: 'file', path: join(dir, 'images/COCO_val2014_000000000042.jpg') },
      answers: [
        { text: 'red', weight: 0.7 },
        { text: 'dark red', weight: 0.2 },
        { text: 'pink', weight: 0.1 },
      ],
    });
    expect(second!.answers).toEqual([{ text: 'yes', weight: 1 }]);
  });

  it('reads questions whose answers are not public', async () => {
    const [first] = all(await open({}, {}, { annotations: undefined }));
    expect(first).toMatchObject({ id: '42000', answers: [], references: [] });
  });

  it('finds the pictures of test-dev2015 in test2015', async () => {
    await putImages('COCO_test2015_000000000042.jpg');
    const asked = await put('test-dev.json', { ...head, data_subtype: 'test-dev2015', questions });
    const [first] = all(await open({}, {}, { questions: asked, annotations: undefined }));
    expect(first!.image).toMatchObject({ path: join(dir, 'images/COCO_test2015_000000000042.jpg') });
  });

  it('finds pictures by another pattern of names', async () => {
    await putImages('000000000042.png');
    const [first] = all(await open({}, {}, { image_name: '{image_id}.png' }));
    expect(first!.image).toMatchObject({ path: join(dir, 'images/000000000042.png') });
  });

  const third = { image_id: 42, question: 'What is it?', question_id: 42002 };
  it.each([
    [
      'a missing image',
      { ...third, image_id: 43 },
      [annotation(42002, ten)],
      /questions\.2: field image_id: .*000000000043\.jpg/,
    ],
    ['a question twice', questions[0], [], /questions\.json: .*42\.jpg: the id 42000 is already taken/],
    [
      'an empty question',
      { ...third, question: ' ' },
      [annotation(42002, ten)],
      /questions\.2 \(42002\): field question: .*empty/,
    ],
    ['no annotation', third, [], /annotations\.json: question 42002: expected an annotation/],
    ['no answers', third, [annotation(42002, [])], /annotations\.2 \(question 42002\): field answers: .*at least one/],
    [
      'an empty answer',
      third,
      [annotation(42002, ['a', ''])],
      /annotations\.2 \(question 42002\): field answers: .*empty/,
    ],
  ])('names %s', async (_, asked, answered, message) => {
    const content = { asked: [...questions, asked], answered: [...annotations, ...answered] };
    await expectBad((options) => open(content, options), message, ['42000', '42001']);
  });

  it('names a question that is annotated twice', async () => {
    const answered = [...annotations, annotation(42001, ['no'])];
    await expectBad((options) => open({ answered }, options), /annotations\.2: question 42001/, ['42000', '42001']);
  });
});

describe('gqa', () => {
  const question = {
    ...{ semantic: [], entailed: [], equivalent: ['02930152'], isBalanced: true, semanticStr: '', annotations: {} },
    ...{ question: 'Is the sky dark?', imageId: '2354786', answer: 'yes', fullAnswer: 'Yes, the sky is dark.' },
    ...{ groups: { global: null, local: '06-sky_dark' }, types: { structural: 'verify', semantic: 'attr' } },
  };
  const open = async (content: unknown, options = {}) =>
    openQuestions({ type: 'gqa', path: await put('testdev.json', content), images: join(dir, 'images') }, options);
  beforeEach(() => putImages('2354786.jpg'));

  it('reads questions by their ids, with answers or without', async () => {
    const { answer, ...hidden } = question;
    expect(all(await open({ '02930152': question, '07333408': hidden }))).toMatchObject([
      { id: '02930152', imageId: '2354786', answers: [{ text: answer, weight: 1 }], kind: 'verify' },
      { id: '07333408', question: 'Is the sky dark?', answers: [] },
    ]);
  });

  it.each([
    ['[]', /gqa\.json: expected a JSON object, but Top-level object/],
    ['{"1": {', /gqa\.json: expected a JSON object, but /],
    [undefined, /gqa\.json: expected a file, but there is none/],
  ])('refuses a file that is %j', async (content, message) => {
    const path = join(dir, 'gqa.json');
    if (content !== undefined) await writeFile(path, content);
    await expect(openQuestions({ type: 'gqa', path, images: dir })).rejects.toThrow(message);
    await rm(path, { force: true });
  });

  it.each([
    ['a missing image', { ...question, imageId: 'n1' }, /testdev\.json: 2: field imageId: .*n1\.jpg/],
    ['an empty answer', { ...question, answer: '' }, /testdev\.json: 2: field answer: .*empty/],
    ['no question', { imageId: '2354786' }, /testdev\.json: 2: field question: .*string/],
  ])('names %s', async (_, bad, message) => {
    await expectBad((options) => open({ 1: question, 2: bad }, options), message, ['1']);
  });
});

describe('questions in JSON lines', () => {
  const open = async (rows: unknown[], options = {}) =>
    openQuestions(
      { type: 'jsonl', path: await put('q.jsonl', rows.map((row) => JSON.stringify(row)).join('\n')) },
      options,
    );
  const good = { image: 'images/a.png', question: 'What is it?', answers: ['cat', 'cat', 'kitten'], question_id: 5 };
  beforeEach(() => putImages('a.png'));

  it('have one answer or several', async () => {
    const [several, one] = all(await open([good, { image: 'images/a.png', question: 'Is it?', answer: 'yes' }]));
    expect(several).toMatchObject({ id: '5', references: ['cat', 'cat', 'kitten'] });
    expect(several!.answers.map(({ text, weight }) => [text, weight])).toEqual([
      ['cat', 2 / 3],
      ['kitten', 1 / 3],
    ]);
    expect(one).toMatchObject({ id: expect.stringMatching(/q\.jsonl:2$/), answers: [{ text: 'yes', weight: 1 }] });
  });

  it('have none where the answers are not public', async () => {
    const hidden = { image: 'images/a.png', question: 'What is it?' };
    const records = all(await open([hidden, { ...hidden, answer: null }, { ...hidden, answers: null }]));
    expect(records).toHaveLength(3);
    for (const record of records) expect(record).toMatchObject({ answers: [], references: [] });
  });

  it.each([
    ['a missing image', { ...good, image: 'b.png', question_id: 6 }, /q\.jsonl:2: field image: .*b\.png/],
    ['no answers', { ...good, answers: [], question_id: 6 }, /q\.jsonl:2: field answers: .*at least one/],
    ['an id twice', good, /q\.jsonl: .*a\.png: the id 5 is already taken/],
  ])('are named with %s', async (_, bad, message) => {
    await expectBad((options) => open([good, bad], options), message, ['5']);
  });
});

it('refuses a data set of captions where questions are wanted', async () => {
  await expect(openQuestions({ type: 'karpathy' })).rejects.toThrow(/expected one of jsonl, .*vqa.* found karpathy/);
});
