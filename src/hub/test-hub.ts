/** A server that speaks the hub's protocol as far as the tests need it, and breaks connections when told to. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TestHub {
  readonly endpoint: string;
  readonly commit: string;
  /** Every request so far, as `GET /path` with ` from N` where a range was asked for. */
  readonly requests: string[];
  /** How many bytes of a large file the next connections send before they break; then all of them. */
  readonly cuts: number[];
  /** Sends large files with this in place of their first byte. */
  corruption: number | undefined;
  /** What requests must bring as their token. */
  token: string | undefined;
  close(): Promise<void>;
}

/** Serves `owner/name` with these files; those that end in .safetensors as the hub serves large files, by redirect. */
export async function startTestHub(files: Readonly<Record<string, Uint8Array>>): Promise<TestHub> {
  const state = { requests: [] as string[], cuts: [] as number[], corruption: undefined, token: undefined };
  const commit = createHash('sha1').update(Object.keys(files).join()).digest('hex');
  const server = createServer((request, response) => {
    const range = /bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1];
    state.requests.push(`${request.method} ${request.url}${range === undefined ? '' : ` from ${range}`}`);
    answer(request, response, { hub, files, from: Number(range ?? 0) });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const hub: TestHub = Object.assign(state, {
    endpoint: `http://127.0.0.1:${port}`,
    commit,
    close: () => {
      server.closeAllConnections();
      return new Promise<void>((closed) => server.close(() => closed()));
    },
  });
  return hub;
}

interface Context {
  readonly hub: TestHub;
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly from: number;
}

function answer(request: IncomingMessage, response: ServerResponse, { hub, files, from }: Context): void {
  const path = request.url ?? '';
  const content = files[path.slice(path.lastIndexOf('/') + 1)];
  const isLarge = path.endsWith('.safetensors');
  if (hub.token !== undefined && request.headers.authorization !== `Bearer ${hub.token}`) {
    response.writeHead(401).end();
  } else if (path === '/api/models/owner/name/revision/main') {
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sha: hub.commit, siblings }));
  } else if (path.startsWith(`/owner/name/resolve/${hub.commit}/`) && content && isLarge) {
    const etag = createHash('sha256').update(content).digest('hex');
    const headers = { 'x-linked-etag': `"${etag}"`, 'x-linked-size': content.length, etag: '"of-the-store"' };
    response.writeHead(302, { ...headers, location: `/store/${path.slice(path.lastIndexOf('/') + 1)}` }).end();
  } else if (path.startsWith(`/owner/name/resolve/${hub.commit}/`) && content) {
    const etag = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
    const headers = { etag: `W/"${etag}"`, 'content-length': content.length };
    response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : content);
  } else if (path.startsWith('/store/') && content) {
    sendLarge(response, { hub, content, from });
  } else {
    response.writeHead(404).end();
  }
}

function sendLarge(response: ServerResponse, large: { hub: TestHub; content: Uint8Array; from: number }): void {
  const { hub, content, from } = large;
  const rest = content.slice(from);
  if (hub.corruption !== undefined && from === 0) rest[0] = hub.corruption;
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length });
  const cut = hub.cuts.shift();
  if (cut === undefined) response.end(rest);
  else response.write(rest.subarray(0, cut), () => setTimeout(() => response.destroy(), 5)); // time for them to arrive
}
