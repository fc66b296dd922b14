import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, NetworkError, UsageError } from '../core/index.ts';
import { CachedModel, exists } from './cache.ts';
import { downloadFile } from './download.ts';
import { tellOfLock, type WaitOptions, withLock } from './lock.ts';
import { describeFile, listFiles, type ModelId, UnreachableError } from './remote.ts';
import { type HubSettings, hubSettings } from './settings.ts';

/** What happens while a model is fetched, in the order and the words of transformers.js. */
export type ProgressEvent =
  | { readonly status: 'initiate' | 'download' | 'done'; readonly model: string; readonly file: string }
  | {
      readonly status: 'progress';
      readonly model: string;
      readonly file: string;
      readonly loaded: number;
      readonly total: number;
    }
  | { readonly status: 'ready'; readonly model: string };

/** `onWait` is told where another process downloads the same file. */
export interface ResolveOptions extends WaitOptions {
  readonly settings?: HubSettings | undefined;
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
}

/**
 * The local folder of a model: `model` itself where it is one, else what the hub has under `owner/name[@revision]`,
 * downloaded into the shared cache where it is not there yet. Throws UsageError for a name that can be neither,
 * NetworkError where the model is neither in the cache nor to be had, and the signal's reason.
 */
export async function resolveModel(model: string, options: ResolveOptions = {}): Promise<string> {
  const isFolder = await stat(model).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const folder = isFolder ? model : await fromHub(parseModelId(model), options);
  options.onProgress?.({ status: 'ready', model });
  return folder;
}

/** Reads `owner/name[@revision]`; the revision is `main` where none is given. Throws UsageError. */
export function parseModelId(model: string): ModelId {
  const [, id, revision = 'main'] = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?$/.exec(model) ?? [];
  if (id === undefined || revision.includes('..')) {
    throw new UsageError(`${model}: no such folder, and not a Hugging Face id (owner/name or owner/name@revision)`);
  }
  return { id, revision };
}

async function fromHub(model: ModelId, options: ResolveOptions): Promise<string> {
  const settings = options.settings ?? (await hubSettings());
  const cached = new CachedModel(model.id, settings);
  const known = await cached.commitOf(model.revision);
  if (settings.offline) {
    if (known !== undefined) return cached.snapshot(known);
    const place = `${settings.cacheFolder}, and HF_HUB_OFFLINE is set`;
    throw new NetworkError(`${model.id}@${model.revision} is not in ${place}; unset it, or name a local folder`);
  }
  try {
    return await download(model, cached, { ...options, settings });
  } catch (error) {
    if (error instanceof UnreachableError && known !== undefined) return cached.snapshot(known);
    throw error;
  }
}

type DownloadOptions = ResolveOptions & { readonly settings: HubSettings };

async function download(model: ModelId, cached: CachedModel, options: DownloadOptions): Promise<string> {
  const { commit, files } = await listFiles(model, options.settings, options.signal);
  const snapshot = cached.snapshot(commit);
  for (const name of neededFiles(model, files)) {
    if (await exists(join(snapshot, name))) continue;
    await downloadInto(cached, { id: model.id, commit, name }, options);
  }
  await cached.setRef(model, commit);
  return snapshot;
}

/** The weights as safetensors, in one file or in shards, and every configuration and tokenizer file. */
function neededFiles({ id }: ModelId, files: readonly string[]): string[] {
  const single = files.filter((file) => file === 'model.safetensors');
  const shards = files.filter((file) => /^model-\d+-of-\d+\.safetensors$/.test(file));
  const weights = single.length > 0 ? single : shards;
  if (weights.length === 0) {
    throw new CheckpointError(
      `${id}: has no safetensors weights (pickles can run code and are not read); convert it first, and name the folder`,
    );
  }
  return [...files.filter((file) => /^(qformer_tokenizer\/)?[^/]+\.(json|txt|model|jinja)$/.test(file)), ...weights];
}

async function downloadInto(
  cached: CachedModel,
  file: { id: string; commit: string; name: string },
  { settings, signal, onProgress, onWait }: DownloadOptions,
): Promise<void> {
  const about = { model: file.id, file: file.name };
  onProgress?.({ status: 'initiate', ...about });
  const remote = await describeFile(file, settings, signal);
  const blob = cached.blob(remote.etag);
  const lock = cached.lock(remote.etag);
  await withLock(
    lock,
    async () => {
      if (await exists(blob)) return; // another process, or another revision, has brought it
      onProgress?.({ status: 'download', ...about });
      const onBytes = (loaded: number) => onProgress?.({ status: 'progress', ...about, loaded, total: remote.size });
      await downloadFile(remote, blob, { settings, signal, onBytes });
    },
    tellOfLock(lock, { signal, onWait }),
  );
  await cached.link(remote.etag, join(cached.snapshot(file.commit), file.name));
  onProgress?.({ status: 'done', ...about });
}
