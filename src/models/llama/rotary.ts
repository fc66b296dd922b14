import { floats } from '../../core/index.ts';
import { add, cast, concat, constant, gather, mul, split, sub, type Tensor, unsqueeze } from '../../graph/index.ts';
import type { LlamaConfig } from './config.ts';

/** The rotation of every position: cos and sin [B, 1, T, d/2]. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Angles position · θ^(−2i/d) (Su et al. 2021, equation 15) of positionIds int64 [B, T], read off a table. */
export function rotation(positionIds: Tensor, c: LlamaConfig, dtype: Tensor['dtype']): Rotation {
  const [positions, half] = [c.max_position_embeddings, c.head_dim / 2];
  const read = (f: (angle: number) => number) => {
    const table = Float32Array.from({ length: positions * half }, (_, n) => {
      const [position, i] = [Math.floor(n / half), n % half];
      return f(position * c.rope_theta ** (-i / half));
    });
    const rows = gather(constant(floats([positions, half], table)), positionIds);
    return unsqueeze(cast(rows, { to: dtype }), { axis: 1 });
  };
  return { cos: read(Math.cos), sin: read(Math.sin) };
}

/** x [B, H, T, d] turned pair by pair; a pair is (i, i + d/2), the half-split form of the published checkpoints. */
export function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  const half = Number(x.shape[3]) / 2;
  const [a, b] = split(x, { axis: 3, sizes: [half, half] }) as [Tensor, Tensor];
  return concat([sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))], { axis: 3 });
}
