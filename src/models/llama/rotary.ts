import { floats } from '../../core/index.ts';
import { add, cast, concat, constant, cos, mul, sin, split, sub, type Tensor, unsqueeze } from '../../graph/index.ts';
import type { LlamaConfig, RopeScaling } from './config.ts';

/** The rotation of every position: cos and sin [B, 1, T, d/2]. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Angles position · θ^(−2i/d) (Su et al. 2021, equation 15), the frequencies scaled, of positionIds int64 [B, T]. */
export function rotation(positionIds: Tensor, c: LlamaConfig, dtype: Tensor['dtype']): Rotation {
  const frequencies = Float32Array.from({ length: c.head_dim / 2 }, (_, i) =>
    scaledFrequency(c.rope_theta ** ((-2 * i) / c.head_dim), c.rope_scaling),
  );
  const positions = unsqueeze(cast(unsqueeze(positionIds, { axis: 2 }), { to: 'float32' }), { axis: 1 }); // [B, 1, T, 1]
  const angles = mul(positions, constant(floats([frequencies.length], frequencies)));
  return { cos: cast(cos(angles), { to: dtype }), sin: cast(sin(angles), { to: dtype }) };
}

/**
 * A frequency in radians a position, for longer texts than a model was first trained on: `linear` slows all of them, `llama3`
 * those that turn rarely within the first length, with a transition between (transformers, modeling_rope_utils.py).
 */
function scaledFrequency(frequency: number, scaling: RopeScaling | undefined): number {
  if (scaling === undefined) return frequency;
  const slowed = frequency / scaling.factor;
  if (scaling.rope_type === 'linear') return slowed;
  const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: length } = scaling;
  const turns = (length * frequency) / (2 * Math.PI);
  const kept = Math.min(Math.max((turns - low) / (high - low), 0), 1);
  return kept * frequency + (1 - kept) * slowed;
}

/** x [B, H, T, d] turned pair by pair; a pair is (i, i + d/2), the half-split form of the published checkpoints. */
export function rotate(x: Tensor, by: Rotation): Tensor {
  const half = Number(x.shape[3]) / 2;
  const [a, b] = split(x, { axis: 3, sizes: [half, half] }) as [Tensor, Tensor];
  return concat([sub(mul(a, by.cos), mul(b, by.sin)), add(mul(b, by.cos), mul(a, by.sin))], { axis: 3 });
}
