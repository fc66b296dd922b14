export * from './dim.ts';
export * from './dtype.ts';
export * from './errors.ts';
export * from './half.ts';
export * from './json.ts';
export * from './random.ts';
export * from './stored.ts';
export * from './value.ts';
