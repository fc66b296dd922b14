/** Learning-rate schedules, by the names that recipes give them. Steps and epochs count from 0. */

export interface ScheduleOptions {
  readonly initLr: number;
  readonly minLr: number;
  readonly warmupLr: number;
  readonly warmupSteps: number;
  readonly maxEpoch: number;
  readonly stepsPerEpoch: number;
}

export type Schedule = (step: number) => number;

const cosine = (from: number, to: number, share: number): number =>
  to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * share));

const warmup = (step: number, o: ScheduleOptions): number =>
  Math.min(o.initLr, o.warmupLr + ((o.initLr - o.warmupLr) * step) / Math.max(o.warmupSteps, 1));

export const schedules = {
  /** Linear warm-up, then one cosine to the last step. */
  per_step_cosine: (o) => {
    const last = o.maxEpoch * o.stepsPerEpoch;
    return (step) =>
      step < o.warmupSteps
        ? warmup(step, o)
        : cosine(o.initLr, o.minLr, Math.min(1, (step - o.warmupSteps) / Math.max(last - o.warmupSteps, 1)));
  },
  /** LAVIS's: the first epoch warms up by step, every later one has a constant rate on a cosine over epochs. */
  linear_warmup_cosine_lr: (o) => (step) => {
    const epoch = Math.floor(step / o.stepsPerEpoch);
    return epoch === 0 ? warmup(step, o) : cosine(o.initLr, o.minLr, epoch / o.maxEpoch);
  },
  constant_lr: (o) => (step) => (step < o.warmupSteps ? warmup(step, o) : o.initLr),
} satisfies Record<string, (o: ScheduleOptions) => Schedule>;

export type ScheduleName = keyof typeof schedules;
