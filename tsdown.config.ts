import { defineConfig } from 'tsdown';

/** One file out for each file in: a worker and the folder of bundled models are found by their place beside a module. */
export default defineConfig({
  entry: [
    'src/index.ts',
    'src/graph/index.ts',
    'src/models/index.ts',
    'src/runtime/index.ts',
    'src/cli/main.ts',
    'src/*/*-worker.ts',
  ],
  unbundle: true,
  platform: 'node',
  target: 'node20',
  dts: true,
  fixedExtension: false,
  logLevel: 'warn',
});
