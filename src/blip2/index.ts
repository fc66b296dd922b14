export * from './config.ts';
export * from './retrieval-head.ts';
export * from './stage-one.ts';
