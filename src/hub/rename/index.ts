export { bertToQFormer } from './bert.ts';
export { fromLavis, toLavis } from './lavis.ts';
