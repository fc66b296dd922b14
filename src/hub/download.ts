import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetworkError } from '../core/index.ts';
import { type RemoteFile, request, UnreachableError } from './remote.ts';
import type { HubSettings } from './settings.ts';

/** How often in a row a connection may bring nothing new before the download is given up. */
const MAX_FRUITLESS_TRIES = 5;
const RETRY_MS = 250;

export interface DownloadOptions {
  readonly settings: HubSettings;
  readonly signal?: AbortSignal | undefined;
  /** Called as bytes arrive, with how many of the file are there. */
  readonly onBytes?: ((loaded: number) => void) | undefined;
}

/**
 * Downloads a file to `path`, which appears only once its checksum is right. What an interrupted download left in
 * `path`.incomplete is continued, by whatever run comes next. Throws NetworkError, or the signal's reason.
 */
export async function downloadFile(remote: RemoteFile, path: string, options: DownloadOptions): Promise<void> {
  const incomplete = `${path}.incomplete`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(incomplete, '', { flag: 'a' });
  let fruitless = 0;
  let loaded = await sizeOf(incomplete);
  while (loaded < remote.size) {
    try {
      await append(remote, incomplete, { ...options, from: loaded });
      loaded = await sizeOf(incomplete);
    } catch (error) {
      const before = loaded;
      loaded = await sizeOf(incomplete);
      fruitless = loaded > before ? 0 : fruitless + 1;
      if (!(error instanceof UnreachableError) || fruitless === MAX_FRUITLESS_TRIES) throw error;
      if (fruitless > 0) await sleep(RETRY_MS * 2 ** fruitless, undefined, { signal: options.signal });
    }
  }
  if ((await checksum(incomplete, remote)) !== remote.etag) {
    await rm(incomplete, { force: true });
    throw new NetworkError(`${remote.url}: the checksum is wrong, so what arrived was deleted; try again`);
  }
  await rename(incomplete, path);
}

const sizeOf = async (path: string): Promise<number> => (await stat(path)).size;

/** Appends what one connection brings. Throws UnreachableError where that is not the rest of the file. */
async function append(
  remote: RemoteFile,
  incomplete: string,
  { settings, signal, onBytes, from }: DownloadOptions & { from: number },
): Promise<void> {
  const response = await request(remote.url, { settings, signal, from });
  const resumed = response.status === 206;
  let loaded = resumed ? from : 0;
  const file = await open(incomplete, resumed ? 'a' : 'w'); // a server without ranges begins again
  try {
    for await (const chunk of chunksOf(response, remote, signal)) {
      await file.appendFile(chunk);
      loaded += chunk.length;
      onBytes?.(loaded);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (loaded < remote.size) throw new UnreachableError(`${remote.url}: ended after ${loaded} of ${remote.size} bytes`);
}

async function* chunksOf(response: Response, remote: RemoteFile, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body ?? [];
  } catch (cause) {
    signal?.throwIfAborted();
    throw new UnreachableError(`${remote.url}: the connection broke`, { cause });
  }
}

/** The content's SHA-256, or the SHA-1 that git gives a blob of it: whichever the etag is. */
async function checksum(path: string, { etag, size }: RemoteFile): Promise<string> {
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
