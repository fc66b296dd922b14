import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomModel } from '../../test/random-model.ts';
import { startTestHub } from '../hub/test-hub.ts';
import { blip2, root, rows } from './test-command.ts';

const example = join(root, 'examples/apple.webp');

let folder: string;
let model: string;
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-precision-'));
  model = join(folder, 'model');
  env = { HF_HOME: join(folder, 'home') };
  await writeRandomModel(model);
});
afterAll(() => rm(folder, { recursive: true }));

const precisionOf = async (made: string): Promise<unknown> =>
  JSON.parse(await readFile(join(made, 'config.json'), 'utf8')).quantization_config?.precision;

describe.concurrent('--precision', () => {
  it('of caption quantises once, to what export writes', async () => {
    const caption = ['caption', example, '-n', '4', '--json'];
    const asked = await blip2([...caption, '-m', model, '--precision', 'int8'], { env });
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    const kept = await readdir(join(folder, 'home', 'blip2'));
    expect(kept).toEqual([expect.stringMatching(/^model-int8-[0-9a-f]{12}-[0-9a-f]{16}$/)]);

    const exported = join(folder, 'int8');
    await blip2(['export', model, exported, '--precision', 'int8'], { env });
    expect(await precisionOf(exported)).toBe('int8');
    expect((await blip2([...caption, '-m', exported], { env })).stdout).toBe(asked.stdout);
    expect(await readdir(join(folder, 'home', 'blip2'))).toEqual(kept);

    const other = await blip2([...caption, '-m', exported, '--precision', 'fp32'], { env });
    expect(other).toMatchObject({ code: 2, stdout: '' });
    expect(other.stderr).toMatch(/int8 is kept in int8; for fp32, name the model that it was made from\n$/);
  }, 180_000);

  it('of export leaves what is there alone, and knows what it can write', async () => {
    const there = join(folder, 'there');
    await mkdir(there);
    const [refused, unknown] = await Promise.all([
      blip2(['export', model, there, '--precision', 'int4']),
      blip2(['export', model, join(folder, 'fp32'), '--precision', 'fp32']),
    ]);
    expect(refused).toMatchObject({ code: 2, stderr: `blip2: ${there} is there already; name a new folder\n` });
    expect(await readdir(there)).toEqual([]);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('Allowed choices are int8, int4');
  });

  it('of pull names the folder of the quantised model', async () => {
    const names = await readdir(model);
    const files = await Promise.all(names.map(async (name) => [name, await readFile(join(model, name))] as const));
    const hub = await startTestHub(Object.fromEntries(files));
    try {
      const home = { HF_HOME: join(folder, 'pulled'), HF_ENDPOINT: hub.endpoint };
      const pulled = await blip2(['pull', 'owner/name', '--precision', 'int4', '--json'], { env: home });
      expect(pulled).toMatchObject({
        code: 0,
        stderr: 'blip2: owner/name: making it ready at the precision int4\n',
      });
      const [{ folder: made }] = rows(pulled.stdout) as [{ folder: string }];
      expect(dirname(made)).toBe(join(folder, 'pulled', 'blip2'));
      expect(await precisionOf(made)).toBe('int4');
      const again = await blip2(['caption', example, '-m', 'owner/name', '--precision', 'int4', '--json'], {
        env: { ...home, HF_HUB_OFFLINE: '1' },
      });
      expect(again).toMatchObject({ code: 0 });
      expect(await readdir(dirname(made))).toHaveLength(1);
    } finally {
      await hub.close();
    }
  }, 180_000);
});
