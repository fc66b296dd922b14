import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { crc32c, EventFile, record, scalarsEvent, startEvent, versionEvent } from './event-file.ts';

it.each([
  // RFC 3720, appendix B.4, and the polynomial's usual check value.
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
])('computes the CRC-32C of %s', (_, bytes, crc) => expect(crc32c(bytes)).toBe(crc));

// What TensorBoard 2.21's own messages and RecordWriter (PyPI `tensorboard`) write of the same events.
const time = 1.7e9 + 0.25;
it.each([
  ['a version', versionEvent(time), '1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9'],
  ['a start', startEvent(time, 40), '0f000000000000006d532b090900001040fc54d94110283a0208011ca66d58'],
  [
    'scalars',
    scalarsEvent(time, 300, { loss: 2.5, lr: 1e-4 }),
    '2600000000000000734fe3000900001040fc54d94110ac022a180a0b0a046c6f737315000020400a090a026c721517b7d13879dca7c8',
  ],
])('writes the record of %s as TensorBoard does', (_, message, bytes) =>
  expect(Buffer.from(record(message)).toString('hex')).toBe(bytes),
);

it('has a file for every start, and none that begins after the last', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blip2-events-'));
  for (const step of [0, 100_000, 2000, 40]) new EventFile(folder, step).add(step, { loss: 1 });
  const files = (await readdir(folder)).sort();
  expect(files).toEqual(['events.out.tfevents.0000000000', 'events.out.tfevents.0000000040']);
  const [version, start, scalars] = [versionEvent(time), startEvent(time, 40), scalarsEvent(time, 40, { loss: 1 })];
  const sizes = [version, start, scalars].map((message) => record(message).length);
  expect((await readFile(join(folder, files[1]!))).length).toBe(sizes.reduce((a, b) => a + b));
  await rm(folder, { recursive: true });
});
