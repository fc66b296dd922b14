export { cachedTogether } from './caches.ts';
export { devices } from './device.ts';
export {
  compile,
  type Feeds,
  Session,
  type SessionOptions,
  scaleOf,
  scalesIn,
  type Weights,
  weightOf,
  weightsFrom,
} from './session.ts';
export { SessionThread } from './session-thread.ts';
