/** The program starts itself anew; what it answers and how it is interrupted is tested with the commands (cli.test.ts). */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { isOffered } from './huge-pages.ts';
import { root } from './test-command.ts';

const patience = { timeout: 60_000, interval: 50 };

it.runIf(isOffered())(
  'computes in a process with huge pages, which ends with the one that was started',
  async () => {
    const args = ['scripts/start.js', 'chat', 'examples/apple.webp']; // waits for a question
    const started = spawn(process.execPath, args, { cwd: root, stdio: ['pipe', 'ignore', 'ignore'] });
    const children = () => readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, 'utf8').trim();
    const child = await vi.waitFor(() => {
      expect(children()).toMatch(/^\d+$/);
      return children();
    }, patience);
    await vi.waitFor(
      () => expect(readFileSync(`/proc/${child}/environ`, 'utf8')).toContain('glibc.malloc.hugetlb=1'),
      patience,
    );
    started.kill('SIGKILL');
    await vi.waitFor(() => expect(existsSync(`/proc/${child}`)).toBe(false), patience);
  },
  120_000,
);
