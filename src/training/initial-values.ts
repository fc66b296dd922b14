import { initialTemperature } from '../blip2/index.ts';
import { CheckpointError, elements, firstNames, floats, random, type Value } from '../core/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { TrainGraph } from './step.ts';

export interface InitialOptions {
  readonly seed: number;
  /** Standard deviation of new weights: BERT's 0.02 at width 768; about 1/√width otherwise. */
  readonly initializerRange: number;
  /** Which parameters may be new. All others have to be given: a missing one is a wrong checkpoint. */
  readonly isNew: (name: string) => boolean;
}

/**
 * Starting values of a model's parameters by name: what `given` has, and for new ones BERT's initialisation (normal,
 * biases 0, norms 1), with PyTorch's for the heads, as in LAVIS. A function of the seed and the name. Throws CheckpointError
 * listing what is missing.
 */
function initialValues(
  declared: ReadonlyMap<string, Tensor>,
  given: ReadonlyMap<string, Value>,
  options: InitialOptions,
): Map<string, Value> {
  const missing = [...declared.keys()].filter((name) => !given.has(name) && !options.isNew(name));
  if (missing.length > 0) {
    const what = missing.length === 1 ? 'a weight' : `${missing.length} weights`;
    throw new CheckpointError(`what training starts from lacks ${what}: ${firstNames(missing)}`);
  }
  return new Map([...declared].map(([name, t]) => [name, given.get(name) ?? draw(name, t.shape.map(Number), options)]));
}

/** The same for a training graph's parameters. Apart, so that nothing holds what was given once it has been copied. */
export const startFrom =
  (given: ReadonlyMap<string, Value>, options: InitialOptions) =>
  ({ declared, trains }: Pick<TrainGraph<string>, 'declared' | 'trains'>): Map<string, Value> =>
    initialValues(new Map([...declared].filter(([name]) => trains(name))), given, options);

function draw(name: string, shape: number[], { seed, initializerRange }: InitialOptions): Value {
  const draws = random(seed, 'init', name);
  const fill = (next: () => number) => floats(shape, Float32Array.from({ length: elements(shape) }, next));
  if (name === 'temp') return fill(() => initialTemperature);
  if (/(LayerNorm|layernorm|ln_vision)\.weight$/.test(name)) return fill(() => 1);
  if (name.endsWith('bias')) return fill(() => 0);
  if (/^(vision_projection|text_projection|itm_head|language_projection)\./.test(name)) {
    const bound = 1 / Math.sqrt(shape[1]!);
    return fill(() => draws.between(-bound, bound));
  }
  return fill(() => initializerRange * draws.normal());
}
