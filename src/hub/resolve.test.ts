import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NetworkError, UsageError } from '../core/index.ts';
import { CachedModel } from './cache.ts';
import {
  type HubSettings,
  hubSettings,
  listCachedModels,
  type ProgressEvent,
  parseModelId,
  resolveModel,
} from './index.ts';
import { startTestHub, type TestHub } from './test-hub.ts';

// Pauses before another try, and between looks at a lock, take no time here.
vi.mock('node:timers/promises', () => ({ setTimeout: () => new Promise((turn) => setImmediate(turn)) }));

const weights = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7919) >> 3);
const files = {
  'config.json': new TextEncoder().encode('{"model_type": "blip-2"}'),
  'vocab.txt': new Uint8Array(),
  'model.safetensors': weights,
  'pytorch_model.bin': weights,
  'README.md': new Uint8Array(10),
};

let cacheFolder = '';
let hub: TestHub;
let settings: HubSettings;
beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'hub-'));
  hub = await startTestHub(files);
  settings = { endpoint: hub.endpoint, cacheFolder, token: undefined, offline: false };
});
afterEach(async () => {
  await hub.close();
  await rm(cacheFolder, { recursive: true });
});

const forget = async () => {
  for (const name of await readdir(cacheFolder)) await rm(join(cacheFolder, name), { recursive: true });
};
const allFiles = async (folder: string) => (await readdir(folder, { recursive: true })).map(String);

describe('resolveModel', () => {
  it('takes a local folder as it is, and refuses what is neither folder nor id', async () => {
    expect(await resolveModel(cacheFolder, { settings })).toBe(cacheFolder);
    await expect(resolveModel('./nowhere', { settings })).rejects.toThrow(UsageError);
    expect(hub.requests).toEqual([]);
  });

  it("downloads into the layout of huggingface_hub's cache, only what is needed, and only once", async () => {
    const folder = await resolveModel('owner/name', { settings });
    expect(folder).toBe(join(cacheFolder, 'models--owner--name', 'snapshots', hub.commit));
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'model.safetensors', 'vocab.txt']);
    expect((await lstat(join(folder, 'model.safetensors'))).isSymbolicLink()).toBe(true);
    expect(await readlink(join(folder, 'model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    for (const name of ['config.json', 'vocab.txt', 'model.safetensors'] as const) {
      expect((await readFile(join(folder, name))).equals(files[name]), name).toBe(true);
    }
    expect(await readFile(join(cacheFolder, 'models--owner--name', 'refs', 'main'), 'utf8')).toBe(hub.commit);

    hub.requests.length = 0;
    expect(await resolveModel('owner/name', { settings })).toBe(folder);
    expect(hub.requests).toEqual(['GET /api/models/owner/name/revision/main']);
    const [listed] = await listCachedModels(settings);
    expect(listed).toMatchObject({ id: 'owner/name', refs: { main: hub.commit }, bytes: 100_000 + 24 });
  });

  it('resumes wherever connections break, without asking twice for what it has', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(cuts, async (lengths) => {
        await forget();
        hub.requests.length = 0;
        hub.cuts.splice(0, Number.POSITIVE_INFINITY, ...lengths);
        const folder = await resolveModel('owner/name', { settings });
        expect((await readFile(join(folder, 'model.safetensors'))).equals(weights)).toBe(true);
        const offsets = hub.requests.filter((r) => r.includes('/store/')).map((r) => Number(/\d+$/.exec(r)?.[0] ?? 0));
        expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
        expect((await allFiles(cacheFolder)).filter((name) => /incomplete|\.tmp|\.lock$/.test(name))).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it('leaves an aborted download to be continued, never under its final name', async () => {
    const abort = new AbortController();
    // Every connection breaks: on a slow machine one may bring nothing, and the next must still not bring the whole file.
    hub.cuts.splice(0, Number.POSITIVE_INFINITY, ...Array<number>(10).fill(30_000));
    const onProgress = (event: ProgressEvent) => {
      if (event.status === 'progress' && event.loaded > 30_000) abort.abort(new Error('enough'));
    };
    const aborted = resolveModel('owner/name', { settings, onProgress, signal: abort.signal });
    await expect(aborted).rejects.toThrow('enough');
    const left = await allFiles(cacheFolder);
    expect(left.filter((name) => name.endsWith('.incomplete'))).toHaveLength(1);
    expect(left.filter((name) => name.endsWith('model.safetensors') || name.endsWith('.lock'))).toEqual([]);

    hub.requests.length = 0;
    hub.cuts.length = 0;
    await resolveModel('owner/name', { settings });
    expect(hub.requests.filter((r) => r.includes('/store/'))).toEqual([
      expect.stringMatching(/^GET \/store\/model\.safetensors from [1-9]\d+$/),
    ]);
  });

  it('refuses content that is not what its checksum says, and keeps none of it', async () => {
    hub.corruption = weights[0]! ^ 1;
    await expect(resolveModel('owner/name', { settings })).rejects.toThrow(/checksum is wrong/);
    expect((await allFiles(cacheFolder)).filter((name) => /[0-9a-f]{64}/.test(name))).toEqual([]);
    hub.corruption = undefined;
    await resolveModel('owner/name', { settings });
  });

  it('tells of its progress', async () => {
    const events: ProgressEvent[] = [];
    await resolveModel('owner/name', { settings, onProgress: (event) => events.push(event) });
    const ofWeights = events.filter((event) => 'file' in event && event.file === 'model.safetensors');
    expect([...new Set(ofWeights.map(({ status }) => status))]).toEqual(['initiate', 'download', 'progress', 'done']);
    expect(ofWeights.findLast(({ status }) => status === 'progress')).toMatchObject({
      loaded: 100_000,
      total: 100_000,
    });
    expect(events.at(-1)).toEqual({ status: 'ready', model: 'owner/name' });
  });

  it('uses the cache where the hub cannot be reached, and says so where there is nothing', async () => {
    const folder = await resolveModel('owner/name', { settings });
    const unreachable = { ...settings, endpoint: 'http://127.0.0.1:1' };
    expect(await resolveModel('owner/name', { settings: unreachable })).toBe(folder);
    expect(await resolveModel('owner/name', { settings: { ...settings, offline: true } })).toBe(folder);
    await forget();
    await expect(resolveModel('owner/name', { settings: unreachable })).rejects.toThrow(/name a local folder/);
    const offline = resolveModel('owner/name', { settings: { ...settings, offline: true } });
    await expect(offline).rejects.toThrow(/HF_HUB_OFFLINE is set; unset it, or name a local folder/);
  });

  it('explains refusals', async () => {
    await expect(resolveModel('owner/other', { settings })).rejects.toThrow(/404.*check the name and the revision/);
    hub.token = 'secret';
    await expect(resolveModel('owner/name', { settings })).rejects.toThrow(NetworkError);
    await expect(resolveModel('owner/name', { settings })).rejects.toThrow(/401.*HF_TOKEN/);
    await resolveModel('owner/name', { settings: { ...settings, token: 'secret' } });
  });

  it('downloads once when asked twice at the same time', async () => {
    const told: string[] = [];
    const options = { settings, onWait: (text: string) => told.push(text) };
    await Promise.all([resolveModel('owner/name', options), resolveModel('owner/name', options)]);
    expect(hub.requests.filter((r) => r.includes('/store/'))).toHaveLength(1);
    expect(told[0]).toMatch(/\.lock: waiting for another process/);
  });

  it('links a file for all who want it at the same time', async () => {
    const cached = new CachedModel('owner/name', settings);
    const file = join(cached.snapshot('abc'), 'config.json');
    await mkdir(dirname(cached.blob('1')), { recursive: true });
    await writeFile(cached.blob('1'), '{}');
    await Promise.all(Array.from({ length: 50 }, () => cached.link('1', file)));
    expect(await readFile(file, 'utf8')).toBe('{}');
    expect(await readdir(dirname(file))).toEqual(['config.json']);
  });
});

describe('parseModelId', () => {
  it('reads owner, name and revision', () => {
    expect(parseModelId('Salesforce/blip2-opt-2.7b')).toEqual({ id: 'Salesforce/blip2-opt-2.7b', revision: 'main' });
    expect(parseModelId('a/b@refs/pr/1')).toEqual({ id: 'a/b', revision: 'refs/pr/1' });
  });
  it.each(['', 'name', '../up', 'a/b/c', 'a/b@../x', 'a/..', '/abs/path'])('refuses %j', (name) => {
    expect(() => parseModelId(name)).toThrow(UsageError);
  });
});

describe('hubSettings', () => {
  it('follows the variables of huggingface_hub', async () => {
    const home = join(cacheFolder, 'home');
    expect(await hubSettings({ XDG_CACHE_HOME: home })).toMatchObject({
      cacheFolder: join(home, 'huggingface', 'hub'),
      token: undefined,
      offline: false,
    });
    await writeFile(join(cacheFolder, 'token'), 'from-file\n');
    expect(
      await hubSettings({ HF_HOME: cacheFolder, HF_HUB_OFFLINE: '1', HF_ENDPOINT: 'http://mirror.example/' }),
    ).toEqual({
      endpoint: 'http://mirror.example',
      cacheFolder: join(cacheFolder, 'hub'),
      token: 'from-file',
      offline: true,
    });
    const explicit = { HF_HOME: cacheFolder, HF_HUB_CACHE: home, HF_TOKEN: 'from-variable' };
    expect(await hubSettings(explicit)).toMatchObject({ cacheFolder: home, token: 'from-variable' });
    const empty = { HF_HUB_CACHE: '', HF_TOKEN: '', HF_TOKEN_PATH: '', HF_ENDPOINT: '' };
    expect(await hubSettings({ HF_HOME: cacheFolder, ...empty })).toMatchObject({
      endpoint: 'https://huggingface.co',
      cacheFolder: join(cacheFolder, 'hub'),
      token: 'from-file',
    });
    expect(await hubSettings({ HF_HOME: '', XDG_CACHE_HOME: home })).toEqual(
      await hubSettings({ XDG_CACHE_HOME: home }),
    );
  });
});
