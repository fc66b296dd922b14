export * from './atomic.ts';
export * from './checkpoint.ts';
export * from './gguf/index.ts';
export * from './rename/index.ts';
export * from './safetensors.ts';
