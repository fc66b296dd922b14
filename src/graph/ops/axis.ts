import { ShapeError } from '../../core/index.ts';
import type { TensorType } from '../tensor.ts';

/** Axes count from 0; ONNX's negative ones are not used. Throws ShapeError where x has no such axis. */
export function checkAxis({ shape }: TensorType, axis: number): void {
  if (axis < 0 || axis >= shape.length) throw new ShapeError(`axis ${axis} is out of range for rank ${shape.length}`);
}

/** Throws ShapeError where two shapes differ along any axis but `axis`. */
export function checkOthersEqual(a: TensorType, b: TensorType, axis: number): void {
  if (a.shape.length !== b.shape.length) {
    throw new ShapeError(`ranks differ: ${a.shape.length} and ${b.shape.length}`);
  }
  a.shape.forEach((d, i) => {
    if (i !== axis && d !== b.shape[i]) throw new ShapeError(`axis ${i} differs: ${d} and ${b.shape[i]}`);
  });
}
