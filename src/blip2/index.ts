export * from './caption-writer.ts';
export * from './config.ts';
export * from './passes.ts';
export * from './retrieval-head.ts';
export * from './stage-one.ts';
export * from './stage-two.ts';
