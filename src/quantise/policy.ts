import { blockOf } from './pack.ts';

/** What a model is computed with: floats; linear layers in int8; those of the language model in int4, others in int8. */
export const precisions = ['fp32', 'int8', 'int4'] as const;
export type Precision = (typeof precisions)[number];

/**
 * How a linear layer's weight is kept: int8 with a scale for each channel, or for each block of a channel; int4 in blocks;
 * int16 as two of int8, the second for what rounding to the first left. Products with blocks round their rows to 8 bits
 * in blocks, too. `int8_columns` is kept beside blocks, for many rows: the bytes of `int8`, and each row rounded to 8 bits
 * as a whole.
 */
export type Format = 'int16' | 'int8' | 'int8_blocks' | 'int8_columns' | 'int4';

/** The formats that a layer in int8 is kept in instead where its rows can be rounded. */
export type RowFormat = Extract<Format, `int8_${string}`>;

/** A linear layer's weight [out, width] by its name in the state dict. */
export interface LinearWeight {
  readonly name: string;
  readonly out: number;
  readonly width: number;
}

/** Heads of a few thousand weights whose small differences decide a ranking, and the one that speaks to the decoder. */
const kept = /^(itm_head|vision_projection|text_projection|language_projection)\./;

/** From so many weights on, reading them is what a language model's step takes its time for: 4 MB in int8. */
const large = 2 ** 22;
/** From so many weights on, the time of the rest is in its products. */
const multiplied = 2 ** 20;

/**
 * Whether a layer of a language model has so many weights, in rows that can be cut into blocks. In int8 it is then kept in
 * blocks, which are read a third faster, if its rows can be rounded so.
 */
export const isStreamed = ({ name, out, width }: LinearWeight, largeFrom = large): boolean =>
  name.startsWith('language_model.') && out * width >= largeFrom && blockOf(width) !== undefined;

/** Whether a layer is one of a model's numbered blocks; else it is its head. */
const isInBlock = (name: string): boolean => /\.\d+\./.test(name);

/** A format for a layer, and the largest `formatError` with which the layer is kept so: others come next, or it stays as it is. */
export interface FormatChoice {
  readonly format: Exclude<Format, RowFormat>;
  readonly tolerated: number;
}

/** Normal weights err by 0.6 % in eight bits and by 0.1 in four; those that outliers make coarser err more. */
const int8: FormatChoice = { format: 'int8', tolerated: 0.02 };
const int4: FormatChoice = { format: 'int4', tolerated: 0.15 };
const int16: FormatChoice = { format: 'int16', tolerated: 0.02 };
/** For weights that were kept in eight bits before, as those of a compact folder. */
const int8Again: FormatChoice = { format: 'int8', tolerated: 1e-4 };

/**
 * How a linear layer may be kept at a precision, smallest first; none leaves it as it is. Four bits are for the large layers
 * in a language model's blocks. Small layers (less than `largeFrom` weights) gain little time, and models that consist of
 * them are too coarse in few bits: rounded to eight they write every fifth caption otherwise. They have 16 bits in a language
 * model, which reads them for every token, and stay floats elsewhere. Embeddings are no linear layers: they stay, while a
 * head that is tied to one is kept twice, because it is read whole for every token; whatever it rounds goes straight to the
 * logits, so that it has eight bits.
 */
export function formatsOf(layer: LinearWeight, precision: Precision, largeFrom?: number): readonly FormatChoice[] {
  const { name, out, width } = layer;
  if (precision === 'fp32' || kept.test(name)) return [];
  const speaks = name.startsWith('language_model.');
  // A head has as many rows as there are words, whatever the model's size.
  const weights = speaks && !isInBlock(name) ? width * width : out * width;
  const isSmall = weights < (largeFrom ?? (speaks ? large : multiplied));
  if (isSmall) return speaks ? [int8Again, int16] : [int8Again];
  const inFourBits = precision === 'int4' && isInBlock(name) && isStreamed(layer, largeFrom);
  return inFourBits ? [int4, int8] : [int8];
}

/** How far rounding its rows may move a layer's output. Normal numbers move it by 0.6 %, outliers by more. */
export const toleratedRows = 0.01;

/**
 * Whether an int8 layer reads its rows in 16 bits: all but the large ones of image encoders, which have hundreds of rows
 * and would take twice the time. Measured on DINOv2-S: one rounding to 8 bits moves its features by 2 %, and every
 * seventh caption with them; with 16 bits it is 0.01 %.
 */
export const isPrecise = ({ name, out, width }: LinearWeight): boolean =>
  out * width < multiplied || !name.startsWith('vision_model.');
