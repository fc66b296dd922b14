export * from './caption-writer.ts';
export * from './config.ts';
export { initialTemperature } from './objectives/itc.ts';
export * from './passes.ts';
export * from './retrieval-head.ts';
export {
  type ReadBatch,
  type StageOneBatch,
  type StageOneFigure,
  type StageOneLosses,
  type StageOneOptions,
  stageOneInputs,
  stageOneLosses,
  writingLosses,
} from './stage-one.ts';
export * from './stage-one-in-parts.ts';
export * from './stage-two.ts';
