import { z } from 'zod';
import { datasetConfig } from '../data/index.ts';
import { adamWDefaults, type ScheduleName, schedules } from '../optim/index.ts';
import { readRecipeFile } from './recipe-file.ts';

/** What a recipe says about the run itself, in LAVIS's words where it has one. */
const run = z.strictObject({
  seed: z.int().nonnegative().default(42),
  output_dir: z.string(),
  batch_size_train: z.int().min(2).default(64),
  /** Updates in all. */
  max_steps: z.int().positive(),
  lr_sched: z.enum(Object.keys(schedules) as [ScheduleName]).default('per_step_cosine'),
  init_lr: z.number().positive().default(1e-4),
  min_lr: z.number().nonnegative().default(1e-5),
  warmup_lr: z.number().nonnegative().default(1e-6),
  warmup_steps: z.int().nonnegative().default(5000),
  weight_decay: z.number().nonnegative().default(adamWDefaults.weightDecay),
  beta2: z.number().default(adamWDefaults.beta2),
  /** Global gradient norm; absent: no clipping, as the reference. */
  clip_norm: z.number().positive().optional(),
  /** Factors on the learning rate by a pattern on the parameter's name; the first that fits counts. */
  lr_scales: z.record(z.string(), z.number().nonnegative()).default({}),
  dropout: z.number().min(0).max(0.9).default(0.1),
  log_every: z.int().positive().default(20),
  save_every: z.int().positive().default(500),
  keep_checkpoints: z.int().positive().default(2),
  threads: z.int().positive().optional(),
});

const data = z.strictObject({
  /** Every batch comes from one of these, in proportion to their sizes. */
  train: z.array(datasetConfig).min(1),
  max_txt_len: z.int().min(4).default(32),
  /** Where frozen features are kept between runs. */
  feature_cache: z.string().default('.cache/features'),
});

/** A frozen image encoder: its checkpoint folder, and how the Q-Former reads its features. */
const imageEncoder = {
  image_encoder: z.string(),
  /** The data set's "fit" preprocessing, for pictures with alpha. */
  do_fit: z.boolean().default(false),
  /** Patches averaged in squares of so many. */
  image_feature_pooling: z.int().positive().default(1),
};

/** A new Q-Former between an image encoder and nothing. */
const newQFormer = z.strictObject({
  ...imageEncoder,
  /** A BERT-style checkpoint folder with its tokenizer: the Q-Former's start. */
  bert: z.string(),
  num_query_token: z.int().positive().default(32),
  num_hidden_layers: z.int().positive().optional(),
  cross_attention_freq: z.int().positive().default(2),
  embed_dim: z.int().positive().default(256),
  /** Standard deviation of new weights; 0.02 suits a width of 768. */
  initializer_range: z.number().positive().default(0.02),
  /** Keep only the word pieces that the training captions use, and single characters. */
  prune_vocabulary: z.boolean().default(false),
});
export type NewQFormer = z.infer<typeof newQFormer>;

/** The folder that a stage-1 run wrote: encoder, Q-Former, heads and vocabulary are taken from it. */
const pretrained = z.strictObject({ pretrained: z.string() });

const stageOne = z.strictObject({
  task: z.literal('stage1'),
  model: z.union([pretrained, newQFormer]),
  data,
  run: run.extend({
    label_smoothing: z.number().min(0).max(1).default(0.1),
    gather_gradient: z.boolean().default(true),
    /** How many pairs of the batch ITM takes; absent: all. */
    matching_pairs: z.int().positive().optional(),
    /** ITM's negatives are drawn evenly until the first of these steps, and as hard as the reference's from the second. */
    hard_negatives: z.tuple([z.int().nonnegative(), z.int().nonnegative()]).default([0, 0]),
    loss_weights: z
      .strictObject({ itc: z.number(), itm: z.number(), itg: z.number() })
      .default({ itc: 1, itm: 1, itg: 1 }),
  }),
});

const stageTwo = z.strictObject({
  task: z.literal('stage2'),
  model: z.strictObject({
    /** A folder that a stage-1 run wrote; absent: a new Q-Former, which the paper shows to be worse. */
    stage1: z.string(),
    /** Start from the stage-1 folder's configuration but not its Q-Former weights. */
    from_scratch: z.boolean().default(false),
    language_model: z.string(),
    prompt: z.string().default(''),
  }),
  data,
  run,
});

const recipe = z.discriminatedUnion('task', [stageOne, stageTwo]);

export type Recipe = z.infer<typeof recipe>;
export type StageOneRecipe = z.infer<typeof stageOne>;
export type StageTwoRecipe = z.infer<typeof stageTwo>;

/** Reads a training recipe; see `readRecipeFile`. */
export const readRecipe = (file: string, overrides?: readonly string[]): Promise<Recipe> =>
  readRecipeFile(recipe, file, overrides);
