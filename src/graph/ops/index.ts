export * from './elementwise.ts';
export * from './indexing.ts';
export * from './mat-mul.ts';
export * from './movement.ts';
export * from './normalise.ts';
export * from './quantised.ts';
export * from './reduce.ts';
export * from './rows.ts';
