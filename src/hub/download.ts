import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
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
  let loaded = await sizeOf(incomplete);
  for (let fruitless = 0; loaded < remote.size; ) {
    const before = loaded;
    const failure = await append(remote, incomplete, { ...options, from: loaded });
    loaded = await sizeOf(incomplete);
    if (failure === undefined || loaded >= remote.size) continue;
    fruitless = loaded > before ? 0 : fruitless + 1;
    if (fruitless === MAX_FRUITLESS_TRIES) throw failure;
    if (fruitless > 0) await sleep(RETRY_MS * 2 ** fruitless, undefined, { signal: options.signal });
  }
  if ((await checksum(incomplete, remote)) !== remote.etag) {
    await rm(incomplete, { force: true });
    throw new NetworkError(`${remote.url}: the checksum is wrong, so what arrived was deleted; try again`);
  }
  await rename(incomplete, path);
}

/** Appends what one connection brings; what broke it is returned, and what is not worth another try is thrown. */
async function append(
  remote: RemoteFile,
  incomplete: string,
  { settings, signal, onBytes, from }: DownloadOptions & { from: number },
): Promise<Error | undefined> {
  try {
    const response = await request(remote.url, { settings, signal, from });
    const resumed = response.status === 206;
    const file = await open(incomplete, resumed ? 'a' : 'w'); // a server without ranges begins again
    try {
      let loaded = resumed ? from : 0;
      for await (const chunk of response.body ?? []) {
        await file.write(chunk);
        loaded += chunk.length;
        onBytes?.(loaded);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return loaded(response) ? undefined : new UnreachableError('');
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof UnreachableError) return error;
    if (error instanceof TypeError) return new UnreachableError(`${remote.url}: the connection broke`, { cause: error });
    throw error;
  }
}
