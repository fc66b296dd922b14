import { z } from 'zod';
import { adamWDefaults, type ScheduleName, schedules } from '../optim/index.ts';

/** The sections that recipes share, in LAVIS's words where it has one; each task adds its own in tasks/. */

/** The run itself; `metric` is what its task is measured by, besides the loss. */
export const runSection = (metric: string) =>
  z.strictObject({
    seed: z.int().nonnegative().default(42),
    output_dir: z.string(),
    batch_size_train: z.int().min(2).default(64),
    /** Batches that make one update, with the gradients of one batch of their size: memory for one, time for all. */
    accum_grad_iters: z.int().positive().default(1),
    /** Updates in all. */
    max_steps: z.int().positive(),
    lr_sched: z.enum(Object.keys(schedules) as [ScheduleName]).default('per_step_cosine'),
    init_lr: z.number().positive().default(1e-4),
    min_lr: z.number().nonnegative().default(1e-5),
    warmup_lr: z.number().nonnegative().default(1e-6),
    warmup_steps: z.int().nonnegative().default(5000),
    weight_decay: z.number().nonnegative().default(adamWDefaults.weightDecay),
    beta2: z.number().min(0).lt(1).default(adamWDefaults.beta2),
    /** Global gradient norm; absent: no clipping, as the reference. */
    clip_norm: z.number().positive().optional(),
    /** Decay of a moving average of what trains, which the model and evaluations take in its place; absent: none. */
    ema: z.number().positive().lt(1).optional(),
    /**
     * How much of the starting weights stays in the model: 0.5 is halfway between what training began with and what it
     * came to, which keeps what only the start knew (WiSE-FT, Wortsman et al., CVPR 2022). Evaluations see the same.
     */
    start_share: z.number().min(0).max(1).default(0),
    /** What the image encoder learns slower by, block for block from its last to its first, beside `lr_scales`; 1: nothing. */
    lr_layer_decay: z.number().positive().max(1).default(1),
    /** Factors on the learning rate by a pattern on the parameter's name; the first that fits counts. */
    lr_scales: z.record(z.string(), z.number().nonnegative()).default({}),
    dropout: z.number().min(0).max(0.9).default(0.1),
    /** Compute each layer's inside again in the backward pass instead of keeping it: less memory for more time. */
    use_grad_checkpoint: z.boolean().default(false),
    /**
     * Keep the memory of a step for the next. Texts of each length have a graph of their own, which keeps what its largest
     * step took: without, training takes a fraction of the memory and up to a fifth more time.
     */
    memory_arena: z.boolean().default(true),
    /** Steps between measurements on data.eval: of the losses, and of `eval_metric`. */
    eval_every: z.int().positive().default(500),
    /** What tells a better model: the loss, or the task's metric on what the model then writes, finds or answers. */
    eval_metric: z.enum(['loss', metric]).default('loss'),
    /** How many records of data.eval, evenly spread, `eval_metric` is measured on. */
    eval_limit: z.int().positive().default(500),
    /** Stop after so many measurements in a row that are no better, and keep the model of the best; absent: never. */
    patience: z.int().positive().optional(),
    log_every: z.int().positive().default(20),
    save_every: z.int().positive().default(500),
    keep_checkpoints: z.int().positive().default(2),
    threads: z.int().positive().optional(),
  });

/** The data, from datasets of one kind. */
export const dataSection = <Dataset extends z.ZodType>(dataset: Dataset) =>
  z.strictObject({
    /** Every batch comes from one of these, in proportion to their sizes. */
    train: z.array(dataset).min(1),
    /** Held-out records whose losses are measured along the way. */
    eval: z.array(dataset).min(1).optional(),
    /** Tokens of the longest text; longer ones are cut. */
    max_txt_len: z.int().min(4).default(32),
    /** Pictures are read anew for every step, as a random part of each, perhaps mirrored. */
    augment: z.boolean().default(false),
    /**
     * The share of each picture's patches that a step does not see; 0: it sees all. An image encoder that trains does not
     * compute them, either.
     */
    patch_dropout: z.number().min(0).max(0.9).default(0),
    /** Where features that do not change are kept between runs. */
    feature_cache: z.string().default('.cache/features'),
  });

/** How the image encoder is used; whether it is frozen is the task's choice where a recipe does not say. */
export const encoderKeys = ({ frozen }: { frozen: boolean }) => ({
  freeze_vit: z.boolean().default(frozen),
  /** The side of the pictures in pixels, for which positions are interpolated; absent: as the encoder was trained. */
  image_size: z.int().positive().optional(),
  /** Of an encoder that trains: the share of samples that go past the branches of its last block. */
  drop_path_rate: z.number().min(0).max(0.9).default(0),
});
export type EncoderKeys = z.infer<z.ZodObject<ReturnType<typeof encoderKeys>>>;

/** What every recipe has. */
export interface Recipe {
  readonly task: string;
  readonly model: EncoderKeys & { readonly prompt?: string | undefined };
  readonly data: z.infer<ReturnType<typeof dataSection<z.ZodType<DatasetChoice>>>>;
  readonly run: z.infer<ReturnType<typeof runSection>>;
}

/** A dataset by its type, with that type's options. */
export interface DatasetChoice {
  readonly type: string;
  readonly [option: string]: unknown;
}
