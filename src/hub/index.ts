export * from './atomic.ts';
export * from './checkpoint.ts';
export * from './safetensors.ts';
