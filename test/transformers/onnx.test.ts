/** What `export --onnx` writes, run by ONNX Runtime in Python: the program of its README.md writes what we do. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Blip2, bundledModels, exportOnnx } from '../../src/pipelines/index.ts';
import { goldenPath, hasFixture } from '../golden/fixtures.ts';
import { writeRandomModel } from '../random-model.ts';
import { pythonHas, runPython } from './python.ts';

const text = 'a red cat';
const checkpoints = ['blip2-itm', 'blip2-opt', 'blip2-t5', 'instructblip-vicuna'].filter((name) =>
  hasFixture(`checkpoints/${name}/config.json`),
);
const picture = goldenPath('images/palette.png');

describe.skipIf(!pythonHas('onnxruntime', 'tokenizers', 'PIL') || checkpoints.length === 0)('ONNX Runtime', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blip2-onnx-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** What the program on the card prints, of a model that was exported. */
  async function example(from: string, name: string): Promise<string> {
    const to = join(folder, name);
    await exportOnnx(from, to);
    const card = await readFile(join(to, 'README.md'), 'utf8');
    for (const file of await readdir(to)) if (file.endsWith('.onnx')) expect(card).toContain(`### \`${file}\``);
    const [, program] = /```python\n(.*?)```/s.exec(card)!;
    await writeFile(join(to, 'example.py'), program!);
    return runPython(['example.py', picture, text], { cwd: to }).trim();
  }

  it.each(checkpoints)('runs %s', async (name) => {
    const model = await Blip2.fromPretrained(goldenPath(`checkpoints/${name}`));
    const printed = await example(goldenPath(`checkpoints/${name}`), name);
    if (model.files.language) {
      const [written] = await model.caption([picture], { prompt: text, maxNewTokens: 30 });
      expect(printed).toBe(written!.text);
    } else {
      const [match] = await model.match(picture, [text]);
      expect(Number(printed)).toBeCloseTo(match!.itc, 4);
    }
    await model.release();
  });

  it('runs a Q-Former that writes captions itself, on weights in int8', async () => {
    const from = join(folder, 'stage1');
    await writeRandomModel(from, { quantised: true });
    const preprocessor = JSON.parse(await readFile(join(from, 'preprocessor_config.json'), 'utf8'));
    await writeFile(join(from, 'preprocessor_config.json'), JSON.stringify({ ...preprocessor, do_fit: false }));
    const model = await Blip2.fromPretrained(from);
    const [written] = await model.caption([picture], { prompt: text, maxNewTokens: 30 });
    expect(written!.text).not.toBe('');
    expect(await example(from, 'writer')).toBe(written!.text);
    await model.release();
  });

  it('runs the models that come with the package', async () => {
    for (const [name, from] of await bundledModels()) expect(await example(from, name)).not.toBe('');
  });
});
