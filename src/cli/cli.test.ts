import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { Checkpoint } from '../hub/index.ts';
import { blip2, root, rows } from './test-command.ts';

const example = join(root, 'examples/apple.webp');

let folder: string;
let model: string;
let stageTwo: string;
let images: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-cli-'));
  [model, stageTwo, images] = [join(folder, 'stage1'), join(folder, 'stage2'), join(folder, 'images')];
  await writeRandomModel(model);
  await writeRandomModel(stageTwo, { language: true });
  await mkdir(join(images, 'more'), { recursive: true });
  await copyFile(example, join(images, 'b.webp'));
  await copyFile(example, join(images, 'more/a.webp'));
  await writeFile(join(images, 'notes.txt'), 'no image');
});
afterAll(() => rm(folder, { recursive: true }));

describe.concurrent('export', () => {
  it('says what transformers cannot hold, and writes a folder that is the same model', async () => {
    const to = join(folder, 'exported');
    const { code, stdout, stderr } = await blip2(['export', model, to]);
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/^blip2: transformers cannot load this model, only blip2 can: its image encoder is dinov2/);
    const [before, after] = await Promise.all([model, to].map((each) => Checkpoint.open(each)));
    expect(await after!.readAll()).toEqual(await before!.readAll());
  });

  it('writes graphs beside their weights, with a card', async () => {
    const to = join(folder, 'onnx');
    expect(await blip2(['export', model, to, '--onnx'])).toMatchObject({ code: 0, stdout: '' });
    expect((await readdir(to)).sort()).toEqual([
      'README.md',
      'config.json',
      'decoder_model_merged.onnx',
      'embed_tokens.onnx',
      'itm.onnx',
      'model.safetensors',
      'preprocessor_config.json',
      'qformer.onnx',
      'text_model.onnx',
      'tokenizer.json',
      'tokenizer_config.json',
      'vision_model.onnx',
    ]);
    expect(await blip2(['export', model, to, '--onnx', '--compact'])).toMatchObject({ code: 2 });
  });
});

describe.concurrent('chat', () => {
  it('answers the questions on standard input, one after another', async () => {
    const args = ['chat', example, '-m', stageTwo, '-n', '4'];
    const [asked, typed] = await Promise.all([
      blip2([...args, '--json'], { input: 'a cat\n\nthe dog\n' }),
      blip2(args, { input: 'a cat\nthe dog' }),
    ]);
    expect(asked.stderr).toBe('');
    expect(rows(asked.stdout).map(({ image, question }) => [image, question])).toEqual([
      [example, 'a cat'],
      [example, 'the dog'],
    ]);
    expect(typed.stdout).toBe(
      rows(asked.stdout)
        .map(({ answer }) => `${answer}\n`)
        .join(''),
    );
  });

  it('goes on after a question that is too long', async () => {
    const args = ['chat', example, '-m', stageTwo, '-n', '4', '--json'];
    const long = 'cat '.repeat(100);
    const [mixed, none] = await Promise.all([
      blip2(args, { input: `${long}\na dog\n` }),
      blip2(args, { input: `${long}\n` }),
    ]);
    expect(rows(mixed.stdout).map(({ question }) => question)).toEqual(['a dog']);
    expect([mixed.code, mixed.stderr.trimEnd().split('\n').length]).toEqual([0, 1]);
    expect([none.code, none.stdout, none.stderr]).toEqual([
      2,
      '',
      expect.stringContaining('chat: none of 1 questions could be asked'),
    ]);
  });

  it('takes questions from there alone', async () => {
    const { code, stderr } = await blip2(['chat', '-', '-m', stageTwo]);
    expect([code, stderr]).toEqual([2, 'blip2: chat: expected a file: standard input is for the questions\n']);
  });
});

describe.concurrent('caption', () => {
  it('writes one JSON object a line, in order, from folders, patterns and files', async () => {
    const short = ['-m', model, '-n', '4', '--json'];
    const [fromFolder, fromPattern] = await Promise.all([
      blip2(['caption', images, example, ...short]),
      blip2(['caption', join(images, '**/*.webp'), ...short]),
    ]);
    expect(fromFolder).toMatchObject({ code: 0, stderr: '' });
    const found = rows(fromFolder.stdout);
    expect(found.map(({ image }) => image)).toEqual([join(images, 'b.webp'), join(images, 'more/a.webp'), example]);
    for (const { caption, score } of found) {
      expect(caption).toBe(found[0]!.caption); // the same picture
      expect(score).toBeLessThan(0);
    }
    expect(rows(fromPattern.stdout)).toEqual(found.slice(0, 2));
  });

  it('reads a picture from standard input', async () => {
    const { stdout } = await blip2(['caption', '-', '-m', model, '--json'], { input: await readFile(example) });
    expect(rows(stdout)).toMatchObject([{ image: '-' }]);
  });

  it('goes on with the file that an interrupted run left', async () => {
    const out = join(folder, 'captions.jsonl');
    const done = { image: join(images, 'b.webp'), caption: 'kept', score: -1 };
    const settings = { model, prompt: 'a' };
    await writeFile(`${out}.partial`, `${JSON.stringify({ settings })}\n${JSON.stringify(done)}\n{"image": "cut o`);
    const refused = await blip2(['caption', images, '-m', model, '--out', out]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/captions\.jsonl\.partial was begun with prompt "a", not nothing: go on with what/);
    const again = ['caption', images, '-m', model, '--prompt', 'a', '--out', out];
    const { code, stdout } = await blip2(again);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    const written = rows(await readFile(out, 'utf8'));
    expect(written[0]).toEqual(done);
    expect(written.map(({ image }) => image)).toEqual([join(images, 'b.webp'), join(images, 'more/a.webp')]);
    expect((await readdir(folder)).filter((name) => name.startsWith('captions'))).toEqual([
      'captions.jsonl',
      'captions.jsonl.settings',
    ]);
    const { stderr } = await blip2(again);
    expect(stderr).toContain(`${out}: the captions of all 2 images are there already`);
    expect(rows(await readFile(out, 'utf8'))).toEqual(written);
    const other = await blip2([...again, '--num-beams', '3']);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining(`${out} was begun with numBeams nothing`)]);
  });

  it('notes flags of draws where none are drawn', async () => {
    const args = ['caption', example, '-m', model, '-n', '2', '--seed', '1', '--top-p', '0.5'];
    const [searched, drawn] = await Promise.all([blip2(args), blip2([...args, '--do-sample'])]);
    const stderr = 'blip2: --top-p, --seed: without --do-sample no token is drawn, and this has no effect\n';
    expect(searched).toMatchObject({ code: 0, stderr });
    expect(drawn).toMatchObject({ code: 0, stderr: '' });
  });

  it('refuses a bad image, or leaves it out where it is told to', async () => {
    const empty = join(folder, 'empty.png');
    await writeFile(empty, '');
    const [refused, skipped] = await Promise.all([
      blip2(['caption', empty, example, '-m', model]),
      blip2(['caption', empty, example, '-m', model, '--skip-bad', '--json']),
    ]);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^blip2: .*empty\.png: expected an image .*, found an empty file\n$/);
    expect(skipped.code).toBe(0);
    expect(rows(skipped.stdout).map(({ image }) => image)).toEqual([example]);
    expect(skipped.stderr).toContain('1 of 2 images were left out');
  });

  it('stops at Ctrl-C with 130, and goes on later from there', async () => {
    const many = join(folder, 'many');
    await mkdir(many);
    const images = Array.from({ length: 200 }, (_, i) => join(many, `${String(i).padStart(3, '0')}.webp`));
    for (const image of images) await copyFile(example, image);
    const out = join(folder, 'stopped.jsonl');
    const args = ['caption', many, '-m', model, '--batch-size', '4', '--out', out];
    const begun = () => existsSync(`${out}.partial`) && statSync(`${out}.partial`).size > 0;
    const stopped = await blip2(args, { interrupt: begun });
    expect(stopped).toEqual({ code: 130, stdout: '', stderr: 'blip2: interrupted\n' });
    const [, ...kept] = rows(await readFile(`${out}.partial`, 'utf8')); // below the settings
    expect(kept.length).toBeLessThan(images.length);
    expect(existsSync(out)).toBe(false);

    const resumed = await blip2(args);
    expect(resumed).toEqual({ code: 0, stdout: '', stderr: `blip2: 200 captions in ${out}\n` });
    const found = rows(await readFile(out, 'utf8'));
    expect(found.slice(0, kept.length)).toEqual(kept);
    expect(found.map(({ image }) => image)).toEqual(images);
    expect(new Set(found.map(({ caption }) => caption)).size).toBe(1); // they are all the same picture
  }, 180_000);
});

it('standard input is read once', async () => {
  const { code, stderr } = await blip2(['match', '-', '-', '-m', model], { input: await readFile(example) });
  expect([code, stderr]).toEqual([2, expect.stringContaining('standard input can be read once')]);
});

it('match gives both scores of every text, also of those on standard input', async () => {
  const { code, stdout } = await blip2(['match', example, 'a red apple', '-', '-m', model, '--json'], {
    input: 'a cat\n\na dog\n',
  });
  expect(code).toBe(0);
  const found = rows(stdout);
  expect(found.map(({ text }) => text)).toEqual(['a red apple', 'a cat', 'a dog']);
  for (const { image, itc, itm } of found) {
    expect(image).toBe(example);
    expect(Math.abs(Number(itc))).toBeLessThanOrEqual(1.00001);
    expect(Number(itm)).toBeGreaterThan(0);
    expect(Number(itm)).toBeLessThan(1);
  }
});

it('ask answers in words, or with a candidate', async () => {
  const candidates = join(folder, 'candidates.txt');
  await writeFile(candidates, 'cat\ndog\n');
  const [written, chosen] = await Promise.all([
    blip2(['ask', example, 'what is it?', '-m', stageTwo, '-n', '3', '--json']),
    blip2(['ask', example, 'what is it?', '-m', stageTwo, '--candidates', candidates]),
  ]);
  expect(rows(written.stdout)[0]).toMatchObject({ image: example, question: 'what is it?' });
  expect(['cat\n', 'dog\n']).toContain(chosen.stdout);
});

it('embed writes the features of every image', async () => {
  const out = join(folder, 'features.safetensors');
  const { code } = await blip2(['embed', images, '-m', model, '--out', out, '--text', 'a cat', 'a dog']);
  expect(code).toBe(0);
  const { entries, metadata } = await Checkpoint.open(out);
  expect(JSON.parse(metadata.images!)).toHaveLength(2);
  expect(entries.get('image_embeds_proj')!.shape).toEqual([2, 4, 8]);
  expect(entries.get('text_embeds_proj')!.shape.slice(0, 1)).toEqual([2]);
  expect(entries.get('multimodal_embeds')!.shape).toEqual([2, 4, 16]);
});

it('trace writes what it is told to, also from pixel values of its own', async () => {
  const [first, second] = [join(folder, 'first.safetensors'), join(folder, 'second.safetensors')];
  await blip2(['trace', '-m', stageTwo, '--image', example, '--text', 'a cat', '--question', 'what', '--out', first]);
  await blip2(['trace', '-m', stageTwo, '--from', first, '--text', 'a cat', '--question', 'what', '--out', second]);
  const [a, b] = await Promise.all([first, second].map(async (file) => (await Checkpoint.open(file)).readAll()));
  expect(Object.keys(a!).sort()).toEqual(
    [
      'pixel_values',
      'vision.last_hidden_state',
      'qformer.last_hidden_state',
      'language_projection',
      'logits',
      'itc.image_embeds',
      'itc.text_embeds',
      'itc',
      'itm_logits',
    ].sort(),
  );
  expect(b).toEqual(a);
});

it.skipIf(!existsSync('/dev/full'))('a full disk is named in one line', async () => {
  const command = `"${process.execPath}" scripts/start.js list > /dev/full`;
  const failed = promisify(execFile)('sh', ['-c', command], { cwd: root });
  await expect(failed).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^blip2: standard output: cannot be written: ENOSPC.*\n$/),
  });
});

describe.concurrent('usage', () => {
  it.each([
    [['caption'], "missing required argument 'path'"],
    [['capton'], "unknown command 'capton'"],
    [['caption', example, '--nope'], "unknown option '--nope'"],
    [['caption', example, '-n', 'many'], 'expected a whole number'],
    [['caption', example, '--batch-size', '0'], 'expected a whole number above 0'],
    [['caption', '-', '-m', 'none', '--out', 'x'], '--out knows images by their paths'],
    [['caption', example, '--device', 'abacus'], 'Allowed choices are'],
    [
      ['ask', example, 'what', '--candidates', 'x', '--top-k', '3', '-n', '2'],
      'leave it out, or --max-new-tokens, --top-k',
    ],
    [['export', 'x.gguf', 'x', '--onnx'], 'leave out --compact, --onnx and --precision'],
    [['export', 'x', 'y', '--words', '9'], '--words goes with --compact'],
    [['export', 'x.gguf', 'x', '--precision', 'int4'], 'leave out --compact, --onnx and --precision'],
    [['trace', '--out', 'x'], 'expected --image or --from'],
    [['trace', '--image', example, '-m', 'none', '--out', 'examples'], 'examples: expected a file to write to'],
    [['caption', example, '-m', 'none', '--out', 'examples'], 'examples: expected a file to write to'],
  ])('%j exits with 2 and one line', async (args, message) => {
    const { code, stdout, stderr } = await blip2(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
  it('shows help, and a stack where it is asked for', async () => {
    const [help, debug] = await Promise.all([
      blip2(['caption', '--help']),
      blip2(['caption', 'no.png', '-m', model, '--debug']),
    ]);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('--skip-bad');
    expect(debug.code).toBe(1);
    expect(debug.stderr).toContain('at ');
  });
});
