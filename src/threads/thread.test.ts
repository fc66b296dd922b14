import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** A program that closes a thread whose answer has come and was not looked at yet. */
const closing = `
  import { Thread } from '${new URL('./index.ts', import.meta.url)}';
  const thread = new Thread({ name: 'echo', module: new URL('${new URL('./test-echo', import.meta.url)}') });
  await thread.ask('begun');
  const asked = thread.ask('late').catch(({ message }) => message);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  await thread.close();
  console.log(await asked);
`;

it('keeps the program alive until it is closed, whatever is answered meanwhile', async () => {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', closing];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toBe('the echo was closed\n');
});
