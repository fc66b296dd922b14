import { mkdtempSync, rmSync } from 'node:fs';
import { drawPictures } from './folder.ts';
import { Peer } from './peer.ts';

const folder = mkdtempSync('/tmp/bench-folder-');
const files = await drawPictures(folder);
const we = Peer.ours('folder.ts', { model: '/work/main/.cache/bench-models/blip2-opt-2.7b', files, threads: 2 });
console.log('load+1', JSON.stringify(await we.ask('caption 8 1')));
for (const b of [8, 16]) console.log(b, JSON.stringify(await we.ask(`caption ${b} 32`)));
await we.close();
rmSync(folder, { recursive: true });
