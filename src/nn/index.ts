export * from './activations.ts';
export * from './attention.ts';
export * from './drop-path.ts';
export * from './dropout.ts';
export * from './layers.ts';
export * from './losses.ts';
export * from './params.ts';
