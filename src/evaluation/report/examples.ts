import { type ImageSource, loadImage } from '../../data/index.ts';
import { normalise, webpDataUrl } from '../../image/index.ts';
import type { Blip2 } from '../../pipelines/index.ts';
import type { Prediction } from '../benchmarks/index.ts';
import { scoreCaptions } from '../metrics/index.ts';
import { looks, shadow } from './heat-map.ts';

/** A picture with what was said of it, ready to stand in a page. */
export interface Example {
  readonly prediction: Prediction;
  /** How good it is, as far as that can be said of one picture; it is sorted by the first. */
  readonly scores: Readonly<Record<string, number>>;
  /** As the model sees it, smaller. */
  readonly photo: string;
  readonly width: number;
  readonly height: number;
  readonly queries: readonly ExampleQuery[];
}

export interface ExampleQuery {
  /** Covers what of the picture the query does not look at. */
  readonly shadow: string;
  /** How much it looks at the class token and its like instead, 0…1. */
  readonly prefix: number;
}

/** Wide enough to recognise a picture in a page. */
const photoWidth = 192;

/** How good each prediction is: as the benchmark says, or, of a caption, its CIDEr times 100. */
export function scoresOf(predictions: readonly Prediction[]): Readonly<Record<string, number>>[] {
  const written = predictions.filter(({ scores, caption, references }) => !scores && caption && references.length > 0);
  const samples = written.map(({ caption, references }) => ({ candidate: caption!, references }));
  const ciders = samples.length > 0 ? scoreCaptions(samples, ['cider']).perSample.CIDEr! : [];
  const byPrediction = new Map(written.map((prediction, i) => [prediction, { CIDEr: 100 * ciders[i]! }]));
  return predictions.map((prediction) => prediction.scores ?? byPrediction.get(prediction) ?? {});
}

/** The worst of the predictions, the very worst first; those without a score come last. */
export async function worstExamples(
  model: Blip2,
  { predictions, images }: { predictions: readonly Prediction[]; images: readonly ImageSource[] },
  limit: number,
): Promise<Example[]> {
  const scores = scoresOf(predictions);
  const first = (i: number): number => Object.values(scores[i]!)[0] ?? Number.MAX_VALUE;
  const order = [...predictions.keys()].sort((a, b) => first(a) - first(b));
  const examples: Example[] = [];
  for (const i of order.slice(0, limit)) {
    const prediction = predictions[i]!;
    const drawn = await draw(model, images[i]!, prediction.prompt);
    examples.push({ prediction, scores: scores[i]!, ...drawn });
  }
  return examples;
}

/** A picture, and where its queries look, which read the prompt too where the model was taught to. */
async function draw(
  model: Blip2,
  source: ImageSource,
  prompt: string | undefined,
): Promise<Omit<Example, 'prediction' | 'scores'>> {
  const { processor, encoder } = model.files;
  const image = await loadImage(source, processor);
  const seen = looks(await model.attention(normalise([image], processor), { prompt }), encoder.prefixTokens);
  const queries = seen.map(async (look) => ({
    shadow: await webpDataUrl(shadow(look, image)),
    prefix: look.prefix,
  }));
  const { width, height } = image;
  return { photo: await webpDataUrl(image, photoWidth), width, height, queries: await Promise.all(queries) };
}
