export { convertGgufToCheckpoint } from './convert.ts';
export { dequantise, ggmlBytes, ggmlTypes } from './dequantise.ts';
export { GgufFile, type GgufTensor } from './file.ts';
