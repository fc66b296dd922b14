import { NetworkError } from '../core/index.ts';
import type { HubSettings } from './settings.ts';

/** A model on the hub at a branch, tag or commit. */
export interface ModelId {
  /** `owner/name` */
  readonly id: string;
  readonly revision: string;
}

/** What the hub says about one file before it is downloaded. */
export interface RemoteFile {
  readonly url: string;
  readonly size: number;
  /** The SHA-256 of the content for large files (64 digits), git's SHA-1 of the blob for others (40 digits). */
  readonly etag: string;
}

/** The commit that a revision stands for, and the files in it. Throws NetworkError. */
export async function listFiles(
  { id, revision }: ModelId,
  settings: HubSettings,
  signal?: AbortSignal,
): Promise<{ commit: string; files: readonly string[] }> {
  const url = `${settings.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
  const response = await request(url, { settings, signal });
  const json: unknown = await response.json().catch(() => undefined);
  if (!isModelInfo(json)) throw new NetworkError(`${url}: the answer does not list a model's files`);
  const files = json.siblings.map(({ rfilename }) => rfilename);
  const outside = files.find((file) => file.split(/[/\\]/).includes('..') || file.startsWith('/'));
  if (outside !== undefined) throw new NetworkError(`${url}: file name ${outside} leads outside the model`);
  return { commit: json.sha, files };
}

/** Size and checksum of a file, from the headers of its address. Throws NetworkError. */
export async function describeFile(
  file: { id: string; commit: string; name: string },
  settings: HubSettings,
  signal?: AbortSignal,
): Promise<RemoteFile> {
  const name = file.name.split('/').map(encodeURIComponent).join('/');
  const url = `${settings.endpoint}/${file.id}/resolve/${file.commit}/${name}`;
  // Large files are redirected to a store whose own headers say nothing of the checksum: the first answer has it.
  const { headers } = await request(url, { settings, signal, method: 'HEAD', redirect: 'manual' });
  const etag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\/|"/g, '');
  const size = Number(headers.get('x-linked-size') ?? headers.get('content-length') ?? Number.NaN);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) || !Number.isSafeInteger(size)) {
    throw new NetworkError(`${url}: no checksum and size in the answer's headers; is this a Hugging Face endpoint?`);
  }
  return { url, size, etag };
}

interface RequestOptions {
  readonly settings: HubSettings;
  readonly signal?: AbortSignal | undefined;
  readonly method?: 'GET' | 'HEAD';
  readonly redirect?: 'manual' | 'follow';
  readonly from?: number;
}

/** A request to the hub, from byte `from` on. Throws NetworkError in words for whatever is not an answer. */
export async function request(url: string, options: RequestOptions): Promise<Response> {
  const { settings, signal = null, method = 'GET', redirect = 'follow', from = 0 } = options;
  const headers = new Headers({ 'accept-encoding': 'identity' });
  // fetch() itself drops the token where a redirect leaves the endpoint's origin.
  if (settings.token !== undefined) headers.set('authorization', `Bearer ${settings.token}`);
  if (from > 0) headers.set('range', `bytes=${from}-`);
  let response: Response;
  try {
    response = await fetch(url, { method, headers, redirect, signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new UnreachableError(`${url} cannot be reached; name a local folder instead, or check the network`, {
      cause,
    });
  }
  if (response.status >= 500) throw new UnreachableError(`${url}: the server answered ${response.status}; try later`);
  if (response.status >= 400) throw new NetworkError(`${url}: ${refusals[response.status] ?? response.status}`);
  return response;
}

/** No answer, or a broken one: worth another try, or what the cache has. */
export class UnreachableError extends NetworkError {}

const refusals: Readonly<Record<number, string>> = {
  401: 'no access (401): no such model, or it needs a token: set HF_TOKEN',
  403: "no access (403): accept the model's terms on its page, and set HF_TOKEN",
  404: 'not found (404): check the name and the revision',
  416: 'the server does not have the bytes asked for (416)',
};

interface ModelInfo {
  readonly sha: string;
  readonly siblings: readonly { readonly rfilename: string }[];
}

function isModelInfo(v: unknown): v is ModelInfo {
  if (typeof v !== 'object' || v === null || !('sha' in v) || !('siblings' in v)) return false;
  const { sha, siblings } = v;
  return (
    typeof sha === 'string' &&
    /^[0-9a-f]{40}$/.test(sha) &&
    Array.isArray(siblings) &&
    siblings.every((s) => typeof s?.rfilename === 'string')
  );
}
