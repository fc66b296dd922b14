export { outputTarget, removeTemporaries, type Write, writeBytes, writeJson, writeText } from './atomic.ts';
export { type CachedModelInfo, exists, listCachedModels, removeCachedModel } from './cache.ts';
export { Checkpoint } from './checkpoint.ts';
export { type EncoderIdentity, fingerprint } from './fingerprint.ts';
export { convertGgufToCheckpoint } from './gguf/index.ts';
export { type LockOptions, tellOfLock, type WaitOptions, withLock } from './lock.ts';
export { readJsonObject } from './read-json.ts';
export { bertToQFormer, fromLavis, toLavis } from './rename/index.ts';
export { type ProgressEvent, parseModelId, type ResolveOptions, resolveModel } from './resolve.ts';
export {
  readTensor,
  streamSafetensors,
  type TensorEntry,
  type TensorSource,
  writeSafetensors,
} from './safetensors.ts';
export { type HubSettings, hubSettings } from './settings.ts';
