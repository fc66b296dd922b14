import { DataError, floats, type Value } from '../core/index.ts';
import { type AdamWOptions, adamWDefaults, decays } from '../optim/index.ts';
import { type AdamWSlot, allocateSlots } from './adamw-kernel.ts';

export interface OptimiserOptions extends Partial<AdamWOptions> {
  /** Gradients longer than this, all together, are shortened to it. */
  readonly clipNorm?: number | undefined;
  /** A factor on the learning rate of each parameter. Default 1. */
  readonly lrScale?: (name: string) => number;
  /** Keep a moving average of the parameters that decays by this factor; at first by a smaller one. */
  readonly ema?: number | undefined;
  /** How much of its starting value each parameter of the model has (Wortsman et al., CVPR 2022). Default 0. */
  readonly startShare?: number | undefined;
}

/** A trainable parameter, its gradient, moments and average: buffers that live as long as the run. */
interface Slot {
  readonly name: string;
  readonly shape: readonly number[];
  readonly buffers: AdamWSlot;
  readonly lrScale: number;
  readonly weightDecay: number;
}

/**
 * AdamW on the CPU in one pass over memory, on buffers that the training graph reads and writes in place. The same rule
 * as a graph is optim/adamw.ts; on a CPU it passes over memory fourteen times.
 */
export class Optimiser {
  readonly #slots: readonly Slot[];
  /** Those that an update moves. */
  readonly #moved = new Set<Slot>();
  readonly #options: AdamWOptions;
  readonly #clipNorm: number;
  readonly #ema: number | undefined;
  /** The starting values, where the model keeps a share of them. */
  readonly #start: { readonly share: number; readonly values: readonly Float32Array[] } | undefined;
  /** The gradients of a batch's earlier parts, where it comes in parts. */
  #sums: Float32Array[] | undefined;
  /** Updates made so far. */
  steps = 0;

  /** Copies the starting values: what is trained lies in {@link parameters}. */
  constructor(
    initial: ReadonlyMap<string, Value<'float32'>>,
    { clipNorm = Infinity, lrScale = () => 1, ema, startShare = 0, ...o }: OptimiserOptions = {},
  ) {
    this.#options = { ...adamWDefaults, ...o };
    this.#clipNorm = clipNorm;
    this.#ema = ema;
    if (startShare > 0)
      this.#start = { share: startShare, values: [...initial.values()].map(({ data }) => data.slice()) };
    const lengths = [...initial.values()].map(({ data }) => data.length);
    const buffers = allocateSlots(lengths, { averaged: ema !== undefined });
    this.#slots = [...initial].map(([name, { shape, data }], i) => {
      const slot = buffers[i]!;
      slot.parameter.set(data);
      slot.average?.set(data);
      const weightDecay = decays(name, shape) ? this.#options.weightDecay : 0;
      return { name, shape, buffers: slot, lrScale: lrScale(name), weightDecay };
    });
  }

  /** The buffers by parameter, for a graph to read parameters from. */
  get parameters(): Record<string, Value<'float32'>> {
    return Object.fromEntries(this.#slots.map((s) => [s.name, floats(s.shape, s.buffers.parameter)]));
  }

  /**
   * The buffers for a graph to write the gradients of these parameters into. An update passes over every parameter that no
   * graph has asked a buffer for, decay included, as torch.optim.AdamW passes over those without a gradient.
   */
  gradientsOf(names: readonly string[]): Record<string, Value<'float32'>> {
    const wanted = new Set(names);
    const slots = this.#slots.filter(({ name }) => wanted.has(name));
    for (const slot of slots) this.#moved.add(slot);
    return Object.fromEntries(slots.map((s) => [s.name, floats(s.shape, s.buffers.gradient)]));
  }

  /**
   * The parameters as a model is to have them: the buffers of their moving average, where one is kept, or, where a share of
   * the starting values stays, copies.
   */
  get averages(): Record<string, Value<'float32'>> {
    return Object.fromEntries(
      this.#slots.map(({ name, shape, buffers }, i) => {
        const trained = buffers.average ?? buffers.parameter;
        return [
          name,
          floats(shape, this.#start ? between(trained, this.#start.values[i]!, this.#start.share) : trained),
        ];
      }),
    );
  }

  /** Everything a resumed run needs: the parameters by name, `m.<name>`, `v.<name>`, and perhaps `average.<name>`. */
  get state(): Record<string, Value<'float32'>> {
    return Object.fromEntries(
      this.#slots.flatMap(({ name, shape, buffers: { parameter, m, v, average } }) => [
        [name, floats(shape, parameter)],
        [`m.${name}`, floats(shape, m)],
        [`v.${name}`, floats(shape, v)],
        ...(average ? [[`average.${name}`, floats(shape, average)] as const] : []),
      ]),
    );
  }

  /** Adds `weight` times the gradients, of all parameters or some, to those of the batch's earlier parts. */
  addPart(weight: number, names?: readonly string[]): void {
    this.#sums ??= this.#slots.map(({ buffers }) => new Float32Array(buffers.gradient.length));
    const some = names && new Set(names);
    for (const [i, { name, buffers }] of this.#slots.entries()) {
      if (some && !some.has(name)) continue;
      const [sum, gradient] = [this.#sums[i]!, buffers.gradient];
      for (let j = 0; j < sum.length; j++) sum[j]! += weight * gradient[j]!;
    }
  }

  /** The sum over all parts becomes the gradients. */
  joinParts(): void {
    for (const [i, { buffers }] of this.#slots.entries()) {
      buffers.gradient.set(this.#sums![i]!);
      this.#sums![i]!.fill(0);
    }
  }

  /** ‖g‖ over all gradients. */
  gradientNorm(): number {
    return Math.sqrt(this.#slots.reduce((sum, { buffers: b }) => sum + b.kernel.sumOfSquares(b.gradient), 0));
  }

  /**
   * One update from the gradient buffers at learning rate `lr`; returns the norm before clipping. Throws DataError where the
   * norm is not finite, before anything is changed.
   */
  step(lr: number): number {
    const norm = this.gradientNorm();
    if (!Number.isFinite(norm)) throw new DataError(`the norm of the gradients is ${norm}`);
    this.steps += 1;
    const clip = norm > this.#clipNorm ? this.#clipNorm / (norm + 1e-6) : 1;
    const { beta1, beta2, epsilon } = this.#options;
    const inverseRoot = 1 / Math.sqrt(1 - beta2 ** this.steps);
    for (const { buffers, lrScale, weightDecay } of this.#moved) {
      const scaled = lr * lrScale;
      const rate = scaled / (1 - beta1 ** this.steps);
      buffers.kernel.update(buffers, {
        beta1,
        beta2,
        epsilon,
        clip,
        keep: 1 - scaled * weightDecay,
        rate,
        inverseRoot,
      });
      if (buffers.average) {
        buffers.kernel.follow(buffers.average, buffers.parameter, 1 - decayAfter(this.steps, this.#ema!));
      }
    }
    return norm;
  }
}

/** A moving average's decay after so many updates: it begins low, so that the starting values are soon forgotten. */
const decayAfter = (steps: number, ema: number): number => Math.min(ema, (1 + steps) / (10 + steps));

/** (1 − share) a + share b. */
const between = (a: Float32Array, b: Float32Array, share: number): Float32Array =>
  a.map((x, i) => x + share * (b[i]! - x));
