export { markBlock } from './block.ts';
export { defineMultiOp, defineOp, type Encoding, type Inputs, type MultiOp, type Op } from './define-op.ts';
export { differentiate } from './differentiate.ts';
export {
  type Binding,
  type EncodedModel,
  encodeModel,
  type ModelInput,
  type Outputs,
  type Quantised,
} from './onnx/encode.ts';
export * from './ops/index.ts';
export { printGraph } from './print.ts';
export { type Replace, rewrite } from './rewrite.ts';
export * from './tensor.ts';
export { dependencies, nodesOf } from './walk.ts';
