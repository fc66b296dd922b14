import type { DType, Shape } from '../core/index.ts';
import { parameter, type Tensor } from '../graph/index.ts';

/**
 * A path into a state dict. Names are Hugging Face's; asking for a tensor declares it, so what a model function asks
 * for is exactly what its checkpoint must hold.
 */
export class Params {
  /** Everything asked for so far, under this root. */
  readonly declared: Map<string, Tensor>;
  readonly path: string;
  readonly dtype: DType;

  constructor({
    dtype = 'float32',
    path = '',
    declared = new Map(),
  }: Partial<Pick<Params, 'dtype' | 'path' | 'declared'>> = {}) {
    this.dtype = dtype;
    this.path = path;
    this.declared = declared;
  }

  /** The same state dict, further down: `p.at('encoder', 'layer', 3)`. */
  at(...keys: (string | number)[]): Params {
    const path = [this.path, ...keys].filter((key) => key !== '').join('.');
    return new Params({ dtype: this.dtype, path, declared: this.declared });
  }

  /** The tensor of this name. The same name is the same tensor, which is how weights are tied. */
  tensor(key: string, shape: Shape): Tensor {
    const name = this.at(key).path;
    const known = this.declared.get(name);
    if (known) {
      if (known.shape.join() === shape.join()) return known;
      throw new TypeError(`${name} is declared as [${known.shape.join(', ')}] and as [${shape.join(', ')}]`);
    }
    const tensor = parameter(name, this.dtype, shape);
    this.declared.set(name, tensor);
    return tensor;
  }
}
