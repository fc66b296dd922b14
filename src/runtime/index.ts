export { compile, type Feeds, Session, type SessionOptions, type Weights, weightsFrom } from './session.ts';
