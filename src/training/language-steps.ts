import { type Blip2Config, stageTwoInputs, stageTwoLoss, trainsInStageTwo, trainsWithEncoder } from '../blip2/index.ts';
import { floats, toFloat32, toNumbers, UsageError, type Value } from '../core/index.ts';
import type { ImageRecord } from '../data/index.ts';
import { input, type Tensor } from '../graph/index.ts';
import { ignoreIndex, type Params } from '../nn/index.ts';
import type { Feeds } from '../runtime/index.ts';
import { Tokenizer, type TokenizerFiles } from '../text/index.ts';
import { readFrozen } from './frozen-weights.ts';
import { type FrozenLanguageModel, tokeniseTexts } from './language-model.ts';
import { writeModel } from './model-folder.ts';
import { promptsOfWords } from './prompts-of-words.ts';
import type { Recipe } from './recipe.ts';
import type { Drawn } from './step-images.ts';
import { type GraphParts, openData, trainSteps } from './steps.ts';
import { padded } from './steps-by-length.ts';
import type { Task, TrainOptions } from './task.ts';
import type { DataSource, TrainingData } from './training-data.ts';

/** What the language model is to write about one picture. */
export interface Lesson {
  /** What it goes on from, after the queries. */
  readonly prompt: string;
  /** What is right, and how much each counts. */
  readonly targets: readonly { readonly text: string; readonly weight: number }[];
}

/** The models and the data of a task whose loss is a language model's. */
export interface LanguageTask<Item extends ImageRecord> extends DataSource<Item> {
  readonly config: Blip2Config;
  readonly language: FrozenLanguageModel;
  /** Where the Q-Former starts, by full names. */
  readonly given: ReadonlyMap<string, Value>;
  /** Which of what trains it need not have. Default: nothing. */
  readonly isNew?: (name: string) => boolean;
  /** The Q-Former's tokenizer. */
  readonly files: TokenizerFiles | undefined;
  /** The Q-Former reads the prompt beside the picture, as InstructBLIP's does. */
  readonly instructed?: boolean;
  lesson(drawn: Drawn<Item>): Lesson;
  /** How many targets of a picture there is room for; the heaviest are taken. Default: 1. */
  readonly targets?: number;
  /** The fully connected layer begins where its prompts are nearest to words: see ./prompts-of-words. */
  readonly wordPrompts?: boolean;
}

/** Throws UsageError where a decoder has fewer positions than the queries and the longest text take. */
function checkRoom(
  { language: { lm }, config }: Pick<LanguageTask<ImageRecord>, 'language' | 'config'>,
  length: number,
): void {
  const { maxPositions = Infinity, kind } = lm;
  const room = maxPositions - config.num_query_tokens;
  if (kind === 'encoder-decoder' || length <= room) return;
  throw new UsageError(
    `data.max_txt_len: expected at most ${room}, as the language model has ${maxPositions} positions and the queries take ` +
      `${config.num_query_tokens}; found ${length}`,
  );
}

/** A task that trains in front of a frozen language model (§3.3, §4.2, §4.3). */
export async function trainLanguage<Item extends ImageRecord>(
  recipe: Recipe,
  task: LanguageTask<Item>,
  options: TrainOptions,
): Promise<Task> {
  const { images, language } = task;
  checkRoom(task, recipe.data.max_txt_len);
  const data = await openData(recipe, task, options);
  const given = task.wordPrompts
    ? await withWordPrompts(task, data.training, { run: recipe.run, signal: options.signal })
    : task.given;
  const frozen = await readFrozen(language.stored);
  const lessons = new LessonTokens(task, recipe.data.max_txt_len);
  const steps = await trainSteps(
    recipe,
    { ...data, images },
    {
      graph: (p, parts) => lossGraph(p, parts, task),
      feeds: (items) => lessons.encode(items.map((drawn) => task.lesson(drawn))),
      weight: weightedTokens,
      trains: recipe.model.freeze_vit ? trainsInStageTwo : trainsWithEncoder,
      given,
      initializerRange: 0.02,
      isNew: task.isNew ?? (() => false),
      frozen: (name) => frozen.get(name),
    },
  );
  return {
    ...steps,
    write: (folder) =>
      writeModel(folder, {
        architecture: task.instructed ? 'InstructBlipForConditionalGeneration' : 'Blip2ForConditionalGeneration',
        config: task.config,
        images,
        // What stage 1 trained and this does not use (heads, text side) goes along: the model still matches and embeds.
        parameters: { ...(task.instructed ? {} : Object.fromEntries(given)), ...steps.optimiser.averages },
        stored: language.stored,
        textConfig: language.config,
        tokenizers: { root: language.files, qformer: task.files },
      }),
  };
}

const withWordPrompts = <Item extends ImageRecord>(
  task: LanguageTask<Item>,
  training: TrainingData<Item>,
  reading: { readonly run: Recipe['run']; readonly signal: AbortSignal | undefined },
): Promise<ReadonlyMap<string, Value>> =>
  promptsOfWords(
    { ...task, trained: task.given, text: (drawn) => task.lesson(drawn).targets[0]!.text },
    training,
    reading,
  );

function lossGraph(
  p: Params,
  { imageEmbeds, tokens, dropout }: GraphParts,
  {
    config,
    language,
    instructed,
    targets = 1,
  }: Pick<LanguageTask<ImageRecord>, 'config' | 'language' | 'instructed' | 'targets'>,
): Record<'loss', Tensor> {
  const [batch, patches, imageWidth] = imageEmbeds.shape.map(Number) as [number, number, number];
  const question = {
    inputIds: input('questionIds', 'int64', [batch, tokens]),
    attentionMask: input('questionMask', 'int64', [batch, tokens]),
  };
  const inputs = {
    ...stageTwoInputs({ batch: batch * targets, patches, imageWidth, tokens }),
    imageEmbeds,
    weights: input('weights', 'float32', [batch * targets]),
    ...(instructed && { question }),
  };
  return { loss: stageTwoLoss(p, inputs, { config, languageModel: language.lm, dropout }) };
}

/** What the loss is the mean over: the tokens that carry it, each as much as its row counts. */
function weightedTokens({ labels, weights }: Feeds): number {
  const [, length] = labels!.shape as [number, number];
  const rowWeights = toFloat32(weights!);
  return toNumbers(labels!).reduce(
    (sum, label, i) => (label === ignoreIndex ? sum : sum + rowWeights[Math.floor(i / length)]!),
    0,
  );
}

/** Lessons as the inputs of `lossGraph`; all texts of a step are padded to one length, each length being a graph. */
class LessonTokens {
  readonly #language: FrozenLanguageModel;
  readonly #reader: Tokenizer | undefined;
  readonly #targets: number;
  readonly #maxLength: number;

  constructor(
    {
      language,
      files,
      instructed,
      targets = 1,
    }: Pick<LanguageTask<ImageRecord>, 'language' | 'files' | 'instructed' | 'targets'>,
    maxLength: number,
  ) {
    this.#language = language;
    this.#reader = instructed && files ? new Tokenizer(files) : undefined;
    this.#targets = targets;
    this.#maxLength = maxLength;
  }

  encode(lessons: readonly Lesson[]): { tokens: number; feeds: Feeds } {
    const maxLength = this.#maxLength;
    const rows = lessons.flatMap(({ prompt, targets }) => {
      const heaviest = targets.toSorted((a, b) => b.weight - a.weight);
      return Array.from({ length: this.#targets }, (_, i) => ({ prompt, ...heaviest[i] }));
    });
    const texts = tokeniseTexts(
      this.#language,
      rows.map(({ prompt, text }) => ({ prompt, target: text })),
      maxLength,
    );
    const prompts = lessons.map(({ prompt }) => prompt);
    const read = (padTo = 0) => this.#reader?.encodeBatch(prompts, { maxLength, padTo, paddingSide: 'right' });
    const tokens = padded(Math.max(texts.length, read()?.inputIds.shape[1] ?? 0), maxLength);
    const question = read(tokens);
    return {
      tokens,
      feeds: {
        ...texts.padTo(tokens),
        weights: floats(
          [rows.length],
          rows.map(({ weight }) => weight ?? 0),
        ),
        ...(question && { questionIds: question.inputIds, questionMask: question.attentionMask }),
      },
    };
  }
}
