export { describeVision, parseVisionConfig, type VisionConfig, visionFields } from './config.ts';
export { embedPatches, embedSequence, type Grid, patchGrid } from './patches.ts';
export { type Pooling, poolPatches } from './pool.ts';
export { type Interpolation, interpolatePositions } from './positions.ts';
