import { existsSync } from 'node:fs';
import { configDefaults, defineConfig } from 'vitest/config';

const golden = process.env.GOLDEN_DIR ?? '../shared/golden';
const hasGolden = existsSync(golden);
if (!hasGolden) console.warn(`test/golden is left out: there are no fixtures in ${golden} (GOLDEN_DIR)`);

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(hasGolden ? [] : ['test/golden/**'])],
    pool: 'forks', // ONNX Runtime's native module is not made to be loaded in several worker threads
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
