import { elements, floats, type Value } from '../core/index.ts';
import { type AdamWOptions, adamWDefaults, decays } from '../optim/index.ts';

export interface OptimiserOptions extends Partial<AdamWOptions> {
  /** Gradients longer than this, all together, are shortened to it. */
  readonly clipNorm?: number | undefined;
  /** A factor on the learning rate of each parameter. Default 1. */
  readonly lrScale?: (name: string) => number;
}

/** A trainable parameter, its gradient and its moments: buffers that live as long as the run. */
interface Slot {
  readonly name: string;
  readonly parameter: Value<'float32'>;
  readonly gradient: Value<'float32'>;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly lrScale: number;
  readonly weightDecay: number;
}

/**
 * AdamW on the CPU in one pass over memory, on buffers that the training graph reads and writes in place. The same rule
 * as a graph is optim/adamw.ts; on a CPU it passes over memory fourteen times.
 */
export class Optimiser {
  readonly #slots: readonly Slot[];
  readonly #options: AdamWOptions;
  readonly #clipNorm: number;
  /** Updates made so far. */
  steps = 0;

  constructor(
    parameters: ReadonlyMap<string, Value<'float32'>>,
    { clipNorm = Infinity, lrScale = () => 1, ...o }: OptimiserOptions = {},
  ) {
    this.#options = { ...adamWDefaults, ...o };
    this.#clipNorm = clipNorm;
    this.#slots = [...parameters].map(([name, parameter]) => {
      const n = elements(parameter.shape);
      return {
        name,
        parameter,
        gradient: floats(parameter.shape, new Float32Array(n)),
        m: new Float32Array(n),
        v: new Float32Array(n),
        lrScale: lrScale(name),
        weightDecay: decays(name, parameter.shape) ? this.#options.weightDecay : 0,
      };
    });
  }

  /** The buffers by parameter, for a graph to read parameters from and write gradients into. */
  get parameters(): Record<string, Value<'float32'>> {
    return Object.fromEntries(this.#slots.map((s) => [s.name, s.parameter]));
  }
  get gradients(): Record<string, Value<'float32'>> {
    return Object.fromEntries(this.#slots.map((s) => [s.name, s.gradient]));
  }

  /** Everything a resumed run needs besides the parameters: `m.<name>` and `v.<name>`. */
  get moments(): Record<string, Value<'float32'>> {
    return Object.fromEntries(
      this.#slots.flatMap((s) => [
        [`m.${s.name}`, floats(s.parameter.shape, s.m)],
        [`v.${s.name}`, floats(s.parameter.shape, s.v)],
      ]),
    );
  }

  /** ‖g‖ over all gradients. */
  gradientNorm(): number {
    let sum = 0;
    for (const { gradient } of this.#slots) sum += sumOfSquares(gradient.data);
    return Math.sqrt(sum);
  }

  /** One update from the gradient buffers at learning rate `lr`; returns the norm before clipping. */
  step(lr: number): number {
    this.steps += 1;
    const norm = this.gradientNorm();
    const clip = norm > this.#clipNorm ? this.#clipNorm / (norm + 1e-6) : 1;
    const { beta1, beta2 } = this.#options;
    const corrections = [1 - beta1 ** this.steps, 1 - beta2 ** this.steps] as const;
    for (const slot of this.#slots) updateSlot(slot, { ...this.#options, lr: lr * slot.lrScale, clip, corrections });
    return norm;
  }
}

function sumOfSquares(x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
  return sum;
}

interface Update extends AdamWOptions {
  readonly lr: number;
  readonly clip: number;
  readonly corrections: readonly [number, number];
}

function updateSlot(slot: Slot, { beta1, beta2, epsilon, lr, clip, corrections }: Update): void {
  const { m, v } = slot;
  const p = slot.parameter.data;
  const gradient = slot.gradient.data;
  const keep = 1 - lr * slot.weightDecay;
  const rate = lr / corrections[0];
  const inverseRoot = 1 / Math.sqrt(corrections[1]);
  for (let i = 0; i < p.length; i++) {
    const g = gradient[i]! * clip;
    const mi = beta1 * m[i]! + (1 - beta1) * g;
    const vi = beta2 * v[i]! + (1 - beta2) * g * g;
    m[i] = mi;
    v[i] = vi;
    p[i] = p[i]! * keep - (rate * mi) / (Math.sqrt(vi) * inverseRoot + epsilon);
  }
}
