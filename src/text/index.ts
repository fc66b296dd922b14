export * from './captions.ts';
export {
  bertFiles,
  type TokenizerConfig,
  type TokenizerFiles,
  type TokenizerJson,
  withSpecialToken,
  withToken,
} from './files.ts';
export * from './language-tokens.ts';
export * from './processor.ts';
export * from './prune.ts';
export * from './read.ts';
export * from './tokenizer.ts';
