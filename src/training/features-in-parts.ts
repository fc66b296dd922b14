import type { Value } from '../core/index.ts';
import { fixed, input, mul, reduceSum, type Tensor } from '../graph/index.ts';
import { Params } from '../nn/index.ts';
import { compile, type Feeds, type Session } from '../runtime/index.ts';
import type { Recipe } from './recipe.ts';
import type { TrainGraph, TrainStep } from './step.ts';
import type { StepImages } from './step-images.ts';
import { type StepsByLength, sessionOptions } from './steps-by-length.ts';

/**
 * The features of a batch's parts apart from what reads them: computed before it, and where the image encoder trains,
 * once more after it, with the gradients of the features in hand. So memory holds the encoder's states of one part.
 */
export class FeaturesInParts {
  /** What makes features trains with the rest: its parameters, by name; none where it is frozen. */
  readonly declared: ReadonlyMap<string, Tensor>;
  /** P and Dv. */
  readonly patches: number;
  readonly width: number;
  readonly #embeds: Tensor;
  readonly #run: Recipe['run'];
  #forward: Promise<Session<'features'>> | undefined;
  #backward: Promise<TrainStep<never>> | undefined;

  /** Whether the image encoder trains. */
  get train(): boolean {
    return this.declared.size > 0;
  }

  constructor(images: StepImages, run: Recipe['run']) {
    const p = new Params();
    this.#embeds = images.embeds(p, run.batch_size_train);
    this.declared = p.declared;
    this.#run = run;
    this.patches = fixed(this.#embeds.shape[1], 'the number of features');
    this.width = fixed(this.#embeds.shape[2], "the features' width");
  }

  /** The features [B, P, Dv] of one part, from what its pictures feed. */
  async of(imageFeeds: Feeds, parameters: Feeds): Promise<Value> {
    const { source } = this.#embeds;
    if (source.kind === 'input') return imageFeeds[source.name]!;
    this.#forward ??= compile({ features: this.#embeds }, () => 'input', sessionOptions(this.#run));
    return (await (await this.#forward).run({ ...parameters, ...imageFeeds })).features;
  }

  /** Adds the gradients of what makes one part's features, from theirs [B, P, Dv], to those of the earlier parts. */
  async addGradients(imageFeeds: Feeds, dEmbeds: Value, steps: StepsByLength<string, string>): Promise<void> {
    this.#backward ??= steps.sibling(this.#backwardGraph());
    const backward = await this.#backward;
    await backward.gradients({ ...imageFeeds, dEmbeds });
    steps.optimiser.addPart(1, backward.moves);
  }

  /** The loss whose gradient with respect to the features is `dEmbeds`. */
  #backwardGraph(): TrainGraph<never> {
    const { shape } = this.#embeds;
    const weighted = mul(this.#embeds, input('dEmbeds', 'float32', shape));
    const loss = reduceSum(weighted, { axes: [...shape.keys()], keepDims: false });
    return { outputs: { loss }, declared: this.declared, trains: () => true };
  }
}
