import type { WaitOptions } from '../hub/index.ts';
import { ExactIndex } from './exact/exact-index.ts';
import type { Manifest } from './manifest.ts';
import type { VectorIndex } from './vector-index.ts';

const lanceFolder = /^lance:(?!\/\/)(?<path>.+)$/;
const uri = /^[a-z][a-z0-9+.-]+:\/\//;

/**
 * The index at a location: a folder, which is searched exactly; `lance:FOLDER` or the URI of an object store, which
 * LanceDB keeps. Where there is none, it is made if a manifest is given. `waiting` is told where another process writes into
 * a folder. Throws DataError where there is none, or one of another format.
 */
export async function openVectorIndex(
  location: string,
  create?: Manifest,
  waiting?: WaitOptions,
): Promise<VectorIndex> {
  const lance = lanceFolder.exec(location)?.groups?.path ?? (uri.test(location) ? location : undefined);
  if (lance === undefined) return ExactIndex.open(location, create, waiting);
  const { LanceIndex } = await import('./lance/lance-index.ts'); // its native library loads only where it is used
  return LanceIndex.open(lance, create);
}
