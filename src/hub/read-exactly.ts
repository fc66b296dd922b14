import type { FileHandle } from 'node:fs/promises';
import { CheckpointError } from '../core/index.ts';

/** The operating system reads at most 2 GiB at once. */
const MAX_READ_BYTES = 2 ** 30;

/**
 * `length` bytes of a file from byte `offset` on, in a buffer of their own, so that any element type is aligned. Throws
 * CheckpointError where the file ends before.
 */
export async function readExactly(file: FileHandle, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, MAX_READ_BYTES), offset + done);
    if (bytesRead === 0)
      throw new CheckpointError(`the file ends at byte ${offset + done}, ${length - done} too early`);
    done += bytesRead;
  }
  return bytes;
}
