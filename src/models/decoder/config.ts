import { z } from 'zod';
import { ConfigError } from '../../core/index.ts';
import { type ActivationName, activations } from '../../nn/index.ts';

/** A size: a whole number above 0. */
export const count = z.int().positive();

/** An activation function by its Hugging Face name. */
export const activation = z.custom<ActivationName>(
  (name) => typeof name === 'string' && Object.hasOwn(activations, name),
  { error: ({ input }) => `expected ${Object.keys(activations).join(', ')}, found ${JSON.stringify(input)}` },
);

/** A `text_config` of this schema. Throws ConfigError naming the first wrong field. */
export function parseTextConfig<S extends z.ZodType>(schema: S, json: unknown): z.infer<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new ConfigError(`text_config: ${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`);
}

/** Throws ConfigError unless `field` is a multiple of `of`. */
export function requireMultiple<C extends object>(config: C, field: keyof C & string, of: keyof C & string): void {
  const [value, divisor] = [Number(config[field]), Number(config[of])];
  if (value % divisor === 0) return;
  throw new ConfigError(`text_config: ${field}: expected a multiple of ${of} ${divisor}, found ${value}`);
}
