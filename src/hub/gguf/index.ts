export { convertGgufToCheckpoint } from './convert.ts';
