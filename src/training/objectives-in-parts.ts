import {
  type Blip2Config,
  contrastWhole,
  type FigureOfPart,
  featuresOfPart,
  lossesOfPart,
  type StageOneOptions,
  stageOneInputs,
  trainsWithEncoder,
} from '../blip2/index.ts';
import {
  addRows,
  elements,
  floats,
  joinRows,
  takeRows,
  toFloat32,
  toNumbers,
  type Value,
  viewRows,
} from '../core/index.ts';
import { input } from '../graph/index.ts';
import { DropoutPool, Params } from '../nn/index.ts';
import { compile, type Feeds, type Session } from '../runtime/index.ts';
import { FeaturesInParts } from './features-in-parts.ts';
import { startFrom } from './initial-values.ts';
import { layerDecay } from './layer-decay.ts';
import type { Recipe } from './recipe.ts';
import type { TrainGraph } from './step.ts';
import { measureHeldOut, readParts, summary, type trainSteps } from './steps.ts';
import { StepsByLength, sessionOptions } from './steps-by-length.ts';

/** What decides the graphs. */
interface PartSettings {
  readonly run: Recipe['run'];
  readonly config: Blip2Config;
  readonly options: StageOneOptions;
  readonly features: FeaturesInParts;
}

/** `trainSteps` for the three objectives on a batch of `accum_grad_iters` parts. */
export const trainInParts =
  (config: Blip2Config, options: StageOneOptions): typeof trainSteps =>
  async ({ run }, { training, heldOut, images }, kind) => {
    const weights = new Map([...kind.given, ...(await training.images.initial())]);
    const initial = startFrom(weights, { seed: run.seed, ...kind });
    const features = new FeaturesInParts(training.images, run);
    const settings = { run, config, options, features };
    const steps = await StepsByLength.create(run, (...at) => partGraph(settings, ...at), {
      initial,
      lrFactor: layerDecay(images.encoder, run.lr_layer_decay),
    });
    const objectives = new ObjectivesInParts(settings, steps);
    const { optimiser } = steps;
    const held = heldOut && measureHeldOut(heldOut, kind, { run, optimiser });
    return {
      stepsPerEpoch: training.stepsPerEpoch / run.accum_grad_iters,
      optimiser,
      async gradients(step) {
        const parts = await readParts(training, step, run);
        const { feeds } = kind.feeds(
          parts.flatMap(({ items }) => items),
          { step },
        );
        const pictures = parts.map(({ imageFeeds }) => imageFeeds);
        return { scalars: await objectives.gradients(step, feeds, pictures), ...summary(parts) };
      },
      ...(held && { evaluate: held.evaluate }),
      async close() {
        await training.close();
        await held?.close();
      },
    };
  };

/** The gradients of a part's features, and of those of its false images. */
type DFeatures = 'dEmbeds' | 'dNegativeEmbeds';

/**
 * The three objectives part by part with the gradients of the whole batch (see blip2/stage-one-in-parts.ts): memory for
 * one part, and what ITC compares of each computed twice.
 */
class ObjectivesInParts {
  readonly #settings: PartSettings;
  readonly #steps: StepsByLength<FigureOfPart, DFeatures>;
  readonly #compared = new Map<number, Promise<Session<'zImage' | 'zText'>>>();
  readonly #parts: readonly (readonly number[])[];
  #contrast: Promise<Session<string>> | undefined;

  constructor(settings: PartSettings, steps: StepsByLength<FigureOfPart, DFeatures>) {
    this.#settings = settings;
    this.#steps = steps;
    const { batch_size_train: size, accum_grad_iters: count } = settings.run;
    this.#parts = Array.from({ length: count }, (_, i) => Array.from({ length: size }, (_, row) => i * size + row));
  }

  /**
   * The scalars of a step, from the texts and pairs of the whole batch and from what each part's pictures feed; the
   * gradients are in the optimiser's buffers.
   */
  async gradients(step: number, texts: Feeds, pictures: readonly Feeds[]): Promise<Record<string, number>> {
    const { features, options } = this.#settings;
    const { optimiser } = this.#steps;
    const embeds: Value[] = [];
    for (const imageFeeds of pictures) embeds.push(await features.of(imageFeeds, optimiser.parameters));
    const whole = { ...texts, imageEmbeds: joinRows(embeds) };
    const told = await this.#contrastWhole(step, whole);
    const { shape } = whole.imageEmbeds;
    const dEmbeds = features.train ? floats(shape, new Float32Array(elements(shape))) : undefined;
    const means = await this.#ofParts(step, whole, told, dEmbeds);
    if (dEmbeds) {
      const { batch_size_train: size } = this.#settings.run;
      for (const [i, imageFeeds] of pictures.entries()) {
        await features.addGradients(imageFeeds, viewRows(dEmbeds, i * size, size), this.#steps);
      }
    }
    optimiser.joinParts();
    // Only ITC divides by the temperature.
    toFloat32(optimiser.gradientsOf(['temp']).temp!).set(toFloat32(told.dTemperature!));
    const [itc] = toNumbers(told.itc!) as [number];
    const { itc: a = 1, itm: b = 1, itg: c = 1 } = options.weights ?? {};
    return { loss: a * itc + b * means.itm + c * means.itg, itc, ...means };
  }

  /** The figures of all parts; adds up the gradients of parameters, and in `dEmbeds` those of the whole batch's features. */
  async #ofParts(
    step: number,
    whole: Feeds,
    told: Record<string, Value>,
    dEmbeds: Value<'float32'> | undefined,
  ): Promise<Record<FigureOfPart, number>> {
    const [tokens, count] = [tokensOf(whole), this.#parts.length];
    const written = this.#parts.map((own) => tokensWritten(takeRows(whole.attentionMask!, own)));
    const total = written.reduce((a, b) => a + b);
    const means: Record<FigureOfPart, number> = { itm: 0, itg: 0, itmAccuracy: 0, queryCosine: 0 };
    for (const [i, own] of this.#parts.entries()) {
      const tokenShare = written[i]! / total;
      const falseImages = toNumbers(takeRows(told.negativeImage!, own));
      const falseTexts = toNumbers(takeRows(told.negativeText!, own));
      const results = await this.#steps.run(step * count + i, tokens, {
        ...partFeeds(whole, own),
        negativeEmbeds: takeRows(whole.imageEmbeds!, falseImages),
        negativeIds: takeRows(whole.inputIds!, falseTexts),
        negativeMask: takeRows(whole.attentionMask!, falseTexts),
        dImage: takeRows(told.dImage!, own),
        dText: takeRows(told.dText!, own),
        pairShare: floats([], [1 / count]),
        tokenShare: floats([], [tokenShare]),
      });
      this.#steps.optimiser.addPart(1, this.#steps.moves);
      if (dEmbeds && results.dEmbeds) addRows(dEmbeds, own, results.dEmbeds);
      if (dEmbeds && results.dNegativeEmbeds) addRows(dEmbeds, falseImages, results.dNegativeEmbeds);
      for (const name of ['itm', 'itmAccuracy', 'queryCosine'] as const) means[name] += scalar(results[name]) / count;
      means.itg += scalar(results.itg) * tokenShare;
    }
    return means;
  }

  /** ITC over all parts, its gradients, and ITM's negatives. */
  async #contrastWhole(step: number, whole: Feeds): Promise<Record<string, Value>> {
    const tokens = tokensOf(whole);
    const { parameters } = this.#steps.optimiser;
    const compared = await this.#comparedAt(tokens);
    const seen: Record<'zImage' | 'zText', Value>[] = [];
    for (const [i, own] of this.#parts.entries()) {
      // The dropout of the second pass: what is compared has to be what its gradients are of.
      const noise = await this.#steps.dropoutFeeds(step * this.#parts.length + i, tokens);
      seen.push(await compared.run({ ...parameters, ...noise, ...partFeeds(whole, own) }));
    }
    this.#contrast ??= compile(contrastGraph(this.#settings), () => 'input', sessionOptions(this.#settings.run));
    return (await this.#contrast).run({
      ...parameters,
      ...whole,
      zImage: joinRows(seen.map(({ zImage }) => zImage)),
      zText: joinRows(seen.map(({ zText }) => zText)),
    });
  }

  #comparedAt(tokens: number): Promise<Session<'zImage' | 'zText'>> {
    const known = this.#compared.get(tokens);
    if (known) return known;
    const { run, config, options, features } = this.#settings;
    const { patches, width: imageWidth } = features;
    const inputs = stageOneInputs({ batch: run.batch_size_train, patches, imageWidth, tokens });
    const dropout = run.dropout === 0 ? undefined : new DropoutPool(run.dropout).apply;
    const outputs = { ...featuresOfPart(new Params(), inputs, config, { ...options, dropout }) };
    const made = compile(outputs, () => 'input', sessionOptions(run));
    this.#compared.set(tokens, made);
    return made;
  }
}

function partGraph(
  { run, config, options, features }: PartSettings,
  tokens: number,
  pool: DropoutPool,
): TrainGraph<FigureOfPart, DFeatures> {
  const p = new Params();
  const batch = run.batch_size_train;
  const { patches, width: imageWidth } = features;
  const { num_query_tokens: queries, image_text_hidden_size: width } = config;
  const part = {
    ...stageOneInputs({ batch, patches, imageWidth, tokens }),
    negativeEmbeds: input('negativeEmbeds', 'float32', [batch, patches, imageWidth]),
    negativeIds: input('negativeIds', 'int64', [batch, tokens]),
    negativeMask: input('negativeMask', 'int64', [batch, tokens]),
    dImage: input('dImage', 'float32', [batch, queries, width]),
    dText: input('dText', 'float32', [batch, width]),
    pairShare: input('pairShare', 'float32', []),
    tokenShare: input('tokenShare', 'float32', []),
  };
  const dropout = run.dropout === 0 ? undefined : pool.apply;
  const outputs = lossesOfPart(p, part, config, { ...options, dropout });
  p.tensor('temp', []); // trains with the rest, by ITC's own graph
  const dFeatures = { dEmbeds: part.imageEmbeds, dNegativeEmbeds: part.negativeEmbeds };
  return {
    outputs,
    declared: new Map([...p.declared, ...features.declared]),
    trains: trainsWithEncoder,
    ...(features.train && { inputs: dFeatures }),
  };
}

function contrastGraph({ run, config, options }: PartSettings) {
  const batch = run.batch_size_train * run.accum_grad_iters;
  const square = (name: string) => input(name, 'float32', [batch, batch]);
  const { num_query_tokens: queries, image_text_hidden_size: width } = config;
  const whole = {
    zImage: input('zImage', 'float32', [batch, queries, width]),
    zText: input('zText', 'float32', [batch, width]),
    positives: square('positives'),
    negatives: square('negatives'),
    gumbelText: square('gumbelText'),
    gumbelImage: square('gumbelImage'),
    hardness: input('hardness', 'float32', []),
  };
  return { ...contrastWhole(new Params(), whole, options) };
}

const scalar = (v: Value): number => toFloat32(v)[0]!;

/** The length of all texts. */
const tokensOf = ({ inputIds }: Feeds): number => inputIds!.shape[1]!;

/** Images and texts of some rows of the batch. */
const partFeeds = ({ imageEmbeds, inputIds, attentionMask }: Feeds, own: readonly number[]): Feeds => ({
  imageEmbeds: takeRows(imageEmbeds!, own),
  inputIds: takeRows(inputIds!, own),
  attentionMask: takeRows(attentionMask!, own),
});

/** How many tokens ITG writes: all but the first of each text. */
const tokensWritten = (attentionMask: Value): number =>
  toNumbers(attentionMask).reduce((a, b) => a + b) - attentionMask.shape[0]!;
