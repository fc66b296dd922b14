import { resolve } from 'node:path';
import { ConfigError, DataError } from '../core/index.ts';
import type { WaitOptions } from '../hub/index.ts';
import type { Blip2 } from '../pipelines/index.ts';
import { type Added, type AddOptions, addImages } from './add.ts';
import { checkSameModel, manifestOf } from './manifest.ts';
import { openVectorIndex } from './open.ts';
import { type Found, type Query, type SearchOptions, searchImages } from './search.ts';
import type { VectorIndex } from './vector-index.ts';

/** Pictures that a model has read, to be searched by what is in them. */
export class ImageIndex {
  readonly #index: VectorIndex;
  readonly #model: Blip2;

  private constructor(index: VectorIndex, model: Blip2) {
    this.#index = index;
    this.#model = model;
  }

  /**
   * Opens the index at a location: a folder, `lance:FOLDER`, or the URI of an object store. `create` makes one where
   * there is none; `onWait` is told where another process writes. Throws DataError where there is none, where it was made by
   * another model or in another format; ConfigError for a model that compares no images with texts.
   */
  static async open(
    location: string,
    model: Blip2,
    { create = false, ...waiting }: { readonly create?: boolean } & WaitOptions = {},
  ): Promise<ImageIndex> {
    if (!model.files.heads.retrieval) {
      throw new ConfigError(
        `${model.files.folder}: the model does not compare images with texts; name one of stage 1 or for retrieval`,
      );
    }
    const expected = await manifestOf(model);
    const index = await openVectorIndex(location, create ? expected : undefined, waiting);
    checkSameModel(index.manifest, expected, location);
    return new ImageIndex(index, model);
  }

  size(): Promise<number> {
    return this.#index.size();
  }

  /**
   * Makes the index hold these files as they are now; what is there already is not computed again. Throws DataError
   * naming an image that cannot be used; what came before it is kept.
   */
  add(paths: readonly string[], options?: AddOptions): Promise<Added> {
    return addImages({ index: this.#index, model: this.#model }, paths, options);
  }

  /** Removes files, and all that is below folders. */
  remove(paths: readonly string[]): Promise<number> {
    return removeImages(this.#index, paths);
  }

  /** The pictures that a text describes best, in two steps, or those most like another. */
  search(query: Query, options?: SearchOptions): Promise<Found[]> {
    return searchImages({ index: this.#index, model: this.#model }, query, options);
  }

  /** Settles what was changed, and frees memory. */
  close(): Promise<void> {
    return this.#index.close();
  }
}

/** Removes files, and all that is below folders, whether they still exist or not. Throws DataError where none is there. */
export async function removeImages(index: VectorIndex, paths: readonly string[]): Promise<number> {
  const ids = new Set<string>();
  for (const path of paths) {
    const place = resolve(path);
    const found = await index.find({ files: [place], folders: [place] });
    if (found.length === 0) throw new DataError(`${path}: expected a picture of the index, found none there`);
    for (const { id } of found) ids.add(id);
  }
  await index.remove([...ids]);
  return ids.size;
}
