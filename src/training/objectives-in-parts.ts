import {
  type Blip2Config,
  contrastWhole,
  type FigureOfPart,
  featuresOfPart,
  lossesOfPart,
  type StageOneOptions,
  stageOneInputs,
} from '../blip2/index.ts';
import { floats, joinRows, takeRows, toFloat32, toNumbers, UsageError, type Value } from '../core/index.ts';
import { input } from '../graph/index.ts';
import { DropoutPool, Params } from '../nn/index.ts';
import { compile, type Feeds, type Session } from '../runtime/index.ts';
import { featuresOf } from './image-features.ts';
import { startFrom } from './initial-values.ts';
import type { Recipe } from './recipe.ts';
import type { TrainGraph } from './step.ts';
import { measureHeldOut, readParts, summary, type trainSteps } from './steps.ts';
import { StepsByLength, sessionOptions } from './steps-by-length.ts';

/** What decides the graphs. */
interface PartSettings {
  readonly run: Recipe['run'];
  readonly config: Blip2Config;
  readonly options: StageOneOptions;
  readonly patches: number;
  readonly imageWidth: number;
}

/** `trainSteps` for the three objectives on a batch of `accum_grad_iters` parts. Throws UsageError where it cannot be. */
export const trainInParts =
  (config: Blip2Config, options: StageOneOptions): typeof trainSteps =>
  async (recipe, { training, heldOut, images }, kind) => {
    const { model, data, run } = recipe;
    if (!model.freeze_vit) throw new UsageError('run.accum_grad_iters: expected 1, because model.freeze_vit is false');
    if (options.matchingPairs) throw new UsageError('run.accum_grad_iters: expected 1, because of run.matching_pairs');
    // The parts are fed whole features, twice over.
    if (data.patch_dropout > 0) throw new UsageError('run.accum_grad_iters: expected 1, because of data.patch_dropout');
    const { patches, width: imageWidth } = featuresOf(images);
    const initial = startFrom(kind.given, { seed: run.seed, initializerRange: kind.initializerRange });
    const settings = { run, config, options, patches, imageWidth };
    const steps = await StepsByLength.create(run, (...at) => partGraph(settings, ...at), { initial });
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
          step,
        );
        const imageEmbeds = joinRows(parts.map(({ imageFeeds }) => imageFeeds.imageEmbeds!));
        return { scalars: await objectives.gradients(step, { ...feeds, imageEmbeds }), ...summary(parts) };
      },
      ...(held && { evaluate: held.evaluate }),
      async close() {
        await training.close();
        await held?.close();
      },
    };
  };

/**
 * The three objectives part by part with the gradients of the whole batch (see blip2/stage-one-in-parts.ts): memory for
 * one part, and the features of each computed twice.
 */
class ObjectivesInParts {
  readonly #settings: PartSettings;
  readonly #steps: StepsByLength<FigureOfPart>;
  readonly #features = new Map<number, Promise<Session<'zImage' | 'zText'>>>();
  #contrast: Promise<Session<string>> | undefined;

  constructor(settings: PartSettings, steps: StepsByLength<FigureOfPart>) {
    this.#settings = settings;
    this.#steps = steps;
  }

  /** The scalars of a step, from the feeds of the whole batch; the gradients are in the optimiser's buffers. */
  async gradients(step: number, whole: Feeds): Promise<Record<string, number>> {
    const { batch_size_train: size, accum_grad_iters: count } = this.#settings.run;
    const { optimiser } = this.#steps;
    const parts = Array.from({ length: count }, (_, i) => Array.from({ length: size }, (_, row) => i * size + row));
    const told = await this.#contrastWhole(step, whole, parts);

    const written = parts.map((own) => tokensWritten(takeRows(whole.attentionMask!, own)));
    const total = written.reduce((a, b) => a + b);
    const means: Record<FigureOfPart, number> = { itm: 0, itg: 0, itmAccuracy: 0, queryCosine: 0 };
    for (const [i, own] of parts.entries()) {
      const tokenShare = written[i]! / total;
      const falseTexts = toNumbers(takeRows(told.negativeText!, own));
      const scalars = await this.#steps.gradients(step * count + i, tokensOf(whole), {
        ...partFeeds(whole, own),
        negativeEmbeds: takeRows(whole.imageEmbeds!, toNumbers(takeRows(told.negativeImage!, own))),
        negativeIds: takeRows(whole.inputIds!, falseTexts),
        negativeMask: takeRows(whole.attentionMask!, falseTexts),
        dImage: takeRows(told.dImage!, own),
        dText: takeRows(told.dText!, own),
        pairShare: floats([], [1 / count]),
        tokenShare: floats([], [tokenShare]),
      });
      optimiser.addPart(1);
      means.itm += scalars.itm / count;
      means.itmAccuracy += scalars.itmAccuracy / count;
      means.queryCosine += scalars.queryCosine / count;
      means.itg += scalars.itg * tokenShare;
    }
    optimiser.joinParts();
    // Only ITC divides by the temperature.
    toFloat32(optimiser.gradients.temp!).set(toFloat32(told.dTemperature!));
    const [itc] = toNumbers(told.itc!) as [number];
    const { itc: a = 1, itm: b = 1, itg: c = 1 } = this.#settings.options.weights ?? {};
    return { loss: a * itc + b * means.itm + c * means.itg, itc, ...means };
  }

  /** ITC over the features of all parts, its gradients, and ITM's negatives. */
  async #contrastWhole(step: number, whole: Feeds, parts: readonly number[][]): Promise<Record<string, Value>> {
    const tokens = tokensOf(whole);
    const { parameters } = this.#steps.optimiser;
    const features = await this.#featuresAt(tokens);
    const seen: Record<'zImage' | 'zText', Value>[] = [];
    for (const [i, own] of parts.entries()) {
      // The dropout of the second pass: these features have to be the ones that its gradients are of.
      const noise = await this.#steps.dropoutFeeds(step * parts.length + i, tokens);
      seen.push(await features.run({ ...parameters, ...noise, ...partFeeds(whole, own) }));
    }
    this.#contrast ??= compile(contrastGraph(this.#settings), () => 'input', sessionOptions(this.#settings.run));
    return (await this.#contrast).run({
      ...parameters,
      ...whole,
      zImage: joinRows(seen.map(({ zImage }) => zImage)),
      zText: joinRows(seen.map(({ zText }) => zText)),
    });
  }

  #featuresAt(tokens: number): Promise<Session<'zImage' | 'zText'>> {
    const known = this.#features.get(tokens);
    if (known) return known;
    const { run, config, options, patches, imageWidth } = this.#settings;
    const inputs = stageOneInputs({ batch: run.batch_size_train, patches, imageWidth, tokens });
    const dropout = run.dropout === 0 ? undefined : new DropoutPool(run.dropout).apply;
    const outputs = { ...featuresOfPart(new Params(), inputs, config, { ...options, dropout }) };
    const made = compile(outputs, () => 'input', sessionOptions(run));
    this.#features.set(tokens, made);
    return made;
  }
}

function partGraph(
  { run, config, options, patches, imageWidth }: PartSettings,
  tokens: number,
  pool: DropoutPool,
): TrainGraph<FigureOfPart> {
  const p = new Params();
  const batch = run.batch_size_train;
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
  return { outputs, declared: p.declared, trains: () => true };
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
