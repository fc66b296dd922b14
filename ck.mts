import { randomCheckpoint } from '/work/main/bench/random-checkpoint.ts';
import { folderAt } from '/work/main/src/pipelines/index.ts';
const t0 = performance.now();
const m = await randomCheckpoint();
console.log(m, ((performance.now() - t0) / 1e3).toFixed(0), 's');
const f = await folderAt(m, { precision: 'int8' });
console.log(f, ((performance.now() - t0) / 1e3).toFixed(0), 's');
