import { toFloat32, type Value, value } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { type ImageEncoder, interpolatePositions } from '../models/index.ts';
import { compile } from '../runtime/index.ts';

/**
 * An encoder's weights with a position table for its size of images, interpolated from the one that is among them: LAVIS's
 * `interpolate_pos_embed`, before fine-tuning on larger pictures.
 */
export async function withPositionsFor(
  { positions, imageSize, patchSize }: ImageEncoder,
  weights: ReadonlyMap<string, Value>,
): Promise<ReadonlyMap<string, Value>> {
  const table = weights.get(positions.name);
  const side = Math.floor(imageSize / patchSize);
  const length = side ** 2 + (positions.classToken === false ? 0 : 1);
  if (!table || table.shape.at(-2) === length) return weights;
  const resized = interpolatePositions(input('table', 'float32', table.shape), [side, side], positions);
  const session = await compile({ resized });
  const run = await session.run({ table: value('float32', table.shape, toFloat32(table)) });
  await session.release();
  const shape = [...table.shape.slice(0, -2), length, table.shape.at(-1)!];
  return new Map([...weights, [positions.name, value('float32', shape, toFloat32(run.resized))]]);
}
