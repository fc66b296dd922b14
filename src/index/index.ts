export type { Added, AddOptions } from './add.ts';
export { ImageIndex, removeImages } from './image-index.ts';
export type { Manifest } from './manifest.ts';
export { openVectorIndex } from './open.ts';
export type { Found, Query, SearchOptions } from './search.ts';
export type { Hit, Item, Picture, Selection, VectorIndex } from './vector-index.ts';
