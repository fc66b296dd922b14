export * from './contracts.ts';
export * from './qformer/index.ts';
