import type { Value } from '../core/index.ts';
import type { Manifest } from './manifest.ts';

/** A picture in an index. */
export interface Picture {
  /** The sha256 of its file: what it is, wherever it lies. */
  readonly id: string;
  /** The path that it was added by: what results show. */
  readonly path: string;
  /** The same path, absolute. */
  readonly file: string;
}

/** What an index keeps of a picture. */
export interface Item extends Picture {
  /** Its queries in the space shared with texts, each of length 1: [Q, E]. */
  readonly vectors: Float32Array;
  /** What the Q-Former reads of it, as halves: [P, Dv]. ITM needs neither the file nor the image encoder then. */
  readonly features: Uint16Array;
}

/** A picture that was found. */
export interface Hit {
  readonly picture: Picture;
  /** The largest cosine of its queries with each vector that was searched for, averaged over these. */
  readonly itc: number;
}

/** Pictures that fit any of these. */
export interface Selection {
  readonly ids?: readonly string[];
  /** Absolute paths. */
  readonly files?: readonly string[];
  /** Absolute paths; everything below them. */
  readonly folders?: readonly string[];
}

/**
 * Where pictures are kept and found. Each change is on disk when its promise resolves, and after a crash in the middle of
 * one the index is as it was before. One process at a time may change an index.
 */
export interface VectorIndex {
  readonly manifest: Manifest;
  size(): Promise<number>;
  find(selection: Selection): Promise<Picture[]>;
  /** Adds pictures of different ids; one whose id is there already is replaced. */
  put(items: readonly Item[]): Promise<void>;
  /** Gives pictures that are there the paths that these have. */
  rename(pictures: readonly Picture[]): Promise<void>;
  remove(ids: readonly string[]): Promise<void>;
  /** The `k` best for vectors [N, E] of length 1, best first, by the largest cosine of each of these with any query, averaged. */
  search(vectors: Value<'float32'>, k: number): Promise<Hit[]>;
  /** imageEmbeds [n, P, Dv] of n pictures. */
  features(ids: readonly string[]): Promise<Value<'float32'>>;
  /** Settles what was changed, and frees memory. */
  close(): Promise<void>;
}
