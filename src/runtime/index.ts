export { cachedTogether } from './caches.ts';
export { devices } from './device.ts';
export { compile, type Feeds, Session, type SessionOptions, scaleOf, type Weights, weightsFrom } from './session.ts';
