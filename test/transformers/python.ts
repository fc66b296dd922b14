/** The Python with transformers and onnxruntime that what we export is tried in. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const python = process.env.BLIP2_PEER_PYTHON ?? `${root}.cache/bench-venv/bin/python`;

/** Whether there is one that has all these modules; tests that need them are skipped otherwise. */
export const pythonHas = (...modules: readonly string[]): boolean =>
  existsSync(python) && spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0;

/** What a program prints. Throws with what it complains of. */
export function runPython(args: readonly string[], { input = '', cwd = root } = {}): string {
  const { status, stdout, stderr } = spawnSync(python, args, { input, cwd, encoding: 'utf8', maxBuffer: 1e8 });
  if (status === 0) return stdout;
  throw new Error(`python ${args.join(' ')} ended with ${status}: ${stderr}`);
}
