export * from './attention.ts';
export * from './config.ts';
export * from './positions.ts';
