export * from './optimiser.ts';
export * from './step.ts';
