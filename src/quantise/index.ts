export { formatError, formats, partNames } from './formats.ts';
export { declare, linearWeights, quantise, rowErrors } from './linear-layers.ts';
export { type Parts, roundingError } from './pack.ts';
export { quantisePerChannel } from './per-channel.ts';
export {
  type Format,
  type FormatChoice,
  formatsOf,
  isPrecise,
  isStreamed,
  type LinearWeight,
  type Precision,
  precisions,
  type RowFormat,
  toleratedRows,
} from './policy.ts';
