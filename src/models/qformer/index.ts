export * from './config.ts';
export * from './masks.ts';
export * from './model.ts';
export * from './words.ts';
