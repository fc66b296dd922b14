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
export * from './read.ts';
export * from './tokenizer.ts';
export * from './word-piece.ts';
