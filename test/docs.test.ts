/** The README's examples run as they stand: every block that is marked `bash` or `ts`. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = await readFile(join(root, 'README.md'), 'utf8');

const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, code]) => code!);

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  expect(status, stdout + stderr).toBe(0);
  return stdout;
}

describe('README.md', () => {
  // What runs now is `npm test`.
  const commands = blocks('bash').flatMap((block) =>
    block
      .trimEnd()
      .split('\n')
      .filter((line) => line !== 'npm test'),
  );
  // One that an earlier run made may be of a bundled model that has been replaced since.
  beforeAll(() => rm(join(root, 'runs/examples.index'), { recursive: true, force: true }));
  it('has commands', () => expect(commands.length).toBeGreaterThan(0));
  it.each(commands)('%s', (command) => {
    expect(run('bash', ['-c', command])).not.toBe('');
  });

  const programs = blocks('ts');
  it('has programs', () => expect(programs.length).toBeGreaterThan(0));
  it.each(programs)('%s', async (program) => {
    // In the repository the package is its sources.
    const folder = await mkdtemp(join(root, 'test', '.docs-'));
    try {
      const file = join(folder, 'example.ts');
      await writeFile(file, program.replaceAll("from 'blip2'", "from '../../src/index.ts'"));
      const project = { extends: '../../tsconfig.json', include: ['example.ts', '../../src/**/*.d.ts'] };
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(project));
      run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
      expect(run(process.execPath, ['--import', 'tsx', file])).not.toBe('');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
