import { int64s, random } from '../core/index.ts';
import { fixed, gather, input, reshape } from '../graph/index.ts';
import type { StepImages } from './step-images.ts';

export interface PatchDropoutOptions {
  /** The share of patches that a step does not see. */
  readonly rate: number;
  /** P, how many features a picture has: its class token and its patches. */
  readonly features: number;
  readonly seed: number;
}

/**
 * Patch dropout (Liu et al., WACV 2023): every step reads another random part of each picture's patches, by (seed, step),
 * so that no single one can be relied on. The class token, the first feature, always stays.
 */
export function withPatchDropout<Loaded>(
  images: StepImages<Loaded>,
  { rate, features, seed }: PatchDropoutOptions,
): StepImages<Loaded> {
  const patches = Array.from({ length: features - 1 }, (_, i) => i + 1);
  const kept = 1 + Math.round(patches.length * (1 - rate));
  return {
    ...images,
    embeds(p, batch) {
      const all = images.embeds(p, batch);
      const width = fixed(all.shape[2], "the features' width");
      const rows = gather(
        reshape(all, { shape: [batch * features, width] }),
        input('keptFeatures', 'int64', [batch * kept]),
      );
      return reshape(rows, { shape: [batch, kept, width] });
    },
    async feeds(loaded, step) {
      const draws = random(seed, 'patch dropout', step);
      const rows = loaded.flatMap((_, i) => {
        const drawn = draws.shuffle(patches).slice(0, kept - 1);
        return [0, ...drawn].map((feature) => i * features + feature);
      });
      return { ...(await images.feeds(loaded, step)), keptFeatures: int64s([rows.length], rows) };
    },
  };
}
