import { concatenate, type DatasetConfig, type ImageTextRecord, openDataset } from '../../data/index.ts';
import type { Pictures, Subject } from './subject.ts';

/**
 * The baseline that only remembers: a picture's caption is that of the training picture whose class token, or mean patch
 * where there is none, is nearest by cosine. A model that does not write better than this has not learnt to write.
 */
export class NearestNeighbour {
  readonly #subject: Subject;
  readonly #captions: readonly string[];
  readonly #tokens: readonly Float32Array[];

  private constructor(subject: Subject, records: readonly ImageTextRecord[], tokens: readonly Float32Array[]) {
    this.#subject = subject;
    this.#captions = records.map(({ captions }) => captions[0]!);
    this.#tokens = tokens;
  }

  /** Of the training pictures in these datasets; undefined where there are none. */
  static async among(subject: Subject, datasets: readonly DatasetConfig[]): Promise<NearestNeighbour | undefined> {
    if (datasets.length === 0) return undefined;
    const all = concatenate(await Promise.all(datasets.map((dataset) => openDataset(dataset, subject.reading))));
    const listed = Array.from({ length: all.length }, (_, i) => all.record(i));
    const { records, pictures } = await subject.pictures(listed, 'training pictures');
    return new NearestNeighbour(subject, records, subject.classTokens(pictures));
  }

  captions(pictures: Pictures): string[] {
    return this.#subject.classTokens(pictures).map((token) => this.#captions[this.#nearest(token)]!);
  }

  #nearest(token: Float32Array): number {
    let [nearest, highest] = [0, -Infinity];
    for (const [i, other] of this.#tokens.entries()) {
      let cosine = 0;
      for (let d = 0; d < token.length; d++) cosine += token[d]! * other[d]!;
      if (cosine > highest) [nearest, highest] = [i, cosine];
    }
    return nearest;
  }
}
