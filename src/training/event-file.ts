import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/**
 * Scalars as TensorBoard reads them: records of `tensorflow.Event` messages (TensorFlow's record_writer.h, event.proto
 * and summary.proto). A run has a file for every time it was started, named by its first step. It tells TensorBoard to
 * forget what earlier files say of that step and later ones, so a resumed run's curves do not go back.
 */
export class EventFile {
  readonly #path: string;

  constructor(folder: string, firstStep: number) {
    mkdirSync(folder, { recursive: true });
    const name = fileName(firstStep);
    for (const file of readdirSync(folder)) {
      if (isEventFile(file) && file > name) rmSync(join(folder, file));
    }
    this.#path = join(folder, name);
    writeFileSync(this.#path, Buffer.concat([versionEvent(now()), startEvent(now(), firstStep)].map(record)));
  }

  add(step: number, scalars: Readonly<Record<string, number>>): void {
    appendFileSync(this.#path, record(scalarsEvent(now(), step, scalars)));
  }
}

const fileName = (step: number): string => `events.out.tfevents.${String(step).padStart(10, '0')}`;
const isEventFile = (file: string): boolean => /^events\.out\.tfevents\.\d{10}$/.test(file);

/** Seconds since 1970. */
const now = (): number => Date.now() / 1000;

const event = (wallTime: number): BinaryWriter => new BinaryWriter().tag(1, WireType.Bit64).double(wallTime);

/** What every file begins with; the version is the one from which on `startEvent` counts. */
export const versionEvent = (wallTime: number): Uint8Array =>
  event(wallTime).tag(3, WireType.LengthDelimited).string('brain.Event:2').finish();

/** A session log with status START: the run begins (again) at this step. */
export const startEvent = (wallTime: number, step: number): Uint8Array =>
  event(wallTime)
    .tag(2, WireType.Varint)
    .int64(step)
    .tag(7, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.Varint)
    .int32(1)
    .join()
    .finish();

/** A summary of one step: a value of each tag. */
export function scalarsEvent(wallTime: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const summary = event(wallTime).tag(2, WireType.Varint).int64(step).tag(5, WireType.LengthDelimited).fork();
  for (const [tag, x] of Object.entries(scalars)) {
    summary.tag(1, WireType.LengthDelimited).fork();
    summary.tag(1, WireType.LengthDelimited).string(tag).tag(2, WireType.Bit32).float(x);
    summary.join();
  }
  return summary.join().finish();
}

/** A message between its length and their checksums: uint64 length, its CRC, the bytes, their CRC; little-endian. */
export function record(message: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(message.length + 16);
  bytes.writeBigUInt64LE(BigInt(message.length), 0);
  bytes.writeUInt32LE(masked(crc32c(bytes.subarray(0, 8))), 8);
  bytes.set(message, 12);
  bytes.writeUInt32LE(masked(crc32c(message)), 12 + message.length);
  return bytes;
}

/** TensorFlow turns and shifts a checksum, because the CRC of data that holds its own CRC says little. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

/** The Castagnoli polynomial, bit-reversed. */
const castagnoli = 0x82f63b78;
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ castagnoli : crc >>> 1;
  return crc;
});

/** CRC-32C (RFC 3720, appendix B.4, has test vectors). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
