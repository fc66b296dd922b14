import { randomUUID } from 'node:crypto';
import { copyFile, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { writeText } from './atomic.ts';
import type { ModelId } from './remote.ts';
import type { HubSettings } from './settings.ts';

/**
 * One model in the cache that all Hugging Face libraries share: `blobs/` has contents by checksum, `snapshots/<commit>/`
 * links to them by file name, `refs/` has the commit of each branch.
 */
export class CachedModel {
  readonly folder: string;
  readonly #locks: string;

  constructor(id: string, { cacheFolder }: HubSettings) {
    const name = `models--${id.replaceAll('/', '--')}`;
    this.folder = join(cacheFolder, name);
    this.#locks = join(cacheFolder, '.locks', name);
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  lock(etag: string): string {
    return join(this.#locks, `${etag}.lock`);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit a revision stood for when it was last downloaded; a commit stands for itself. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (await exists(this.snapshot(revision))) return revision;
    const ref = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => undefined);
    return ref?.trim();
  }

  /** Notes that a revision, all of whose files are there, is this commit. */
  async setRef({ revision }: ModelId, commit: string): Promise<void> {
    if (revision !== commit) await writeText(join(this.folder, 'refs', revision), commit);
  }

  /** Makes a blob appear in a snapshot under its file name, whoever else does so at the same time. */
  async link(etag: string, file: string): Promise<void> {
    await mkdir(dirname(file), { recursive: true });
    const made = `${file}.${randomUUID()}`;
    try {
      await symlink(relative(dirname(file), this.blob(etag)), made);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) throw error;
      await copyFile(this.blob(etag), made); // Windows lets only developers make links
    }
    await rename(made, file); // replaces a link whose blob is gone, or that another has just made
  }
}

/** Whether a path, or what it links to, is there. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A model of the cache, as `list` shows it. */
export interface CachedModelInfo {
  readonly id: string;
  readonly folder: string;
  /** Branches and tags, each with its commit. */
  readonly refs: Readonly<Record<string, string>>;
  /** What its blobs take on disk. */
  readonly bytes: number;
}

/** The models in the cache. */
export async function listCachedModels({ cacheFolder }: HubSettings): Promise<CachedModelInfo[]> {
  const names = await readdir(cacheFolder).catch(() => []);
  return Promise.all(
    names
      .filter((name) => name.startsWith('models--'))
      .map(async (name) => {
        const folder = join(cacheFolder, name);
        const blobs = await filesIn(join(folder, 'blobs'));
        const sizes = await Promise.all(blobs.map(async (file) => (await lstat(join(folder, 'blobs', file))).size));
        const refs = await Promise.all(
          (await filesIn(join(folder, 'refs'))).map(async (ref) => {
            return [ref, (await readFile(join(folder, 'refs', ref), 'utf8')).trim()] as const;
          }),
        );
        const id = name.slice('models--'.length).replace('--', '/');
        return { id, folder, refs: Object.fromEntries(refs), bytes: sizes.reduce((a, b) => a + b, 0) };
      }),
  );
}

async function filesIn(folder: string): Promise<string[]> {
  const all = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return all.filter((file) => !file.isDirectory()).map((file) => relative(folder, join(file.parentPath, file.name)));
}

/** Removes a model from the cache. */
export const removeCachedModel = async (id: string, settings: HubSettings): Promise<void> =>
  rm(new CachedModel(id, settings).folder, { recursive: true, force: true });
