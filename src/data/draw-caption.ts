import { random } from '../core/index.ts';
import type { ImageTextRecord } from './datasets/index.ts';

/** The caption that a record shows in an epoch. */
export const drawCaption = (record: ImageTextRecord, at: { seed: number; epoch: number; index: number }): string =>
  random(at.seed, 'caption', at.epoch, at.index).pick(record.captions);
