/** A thousand captions in one process, each of a picture of its own: does resident memory stay where it is? */
import { join } from 'node:path';
import { type Claim, lessIsBetter, type Row } from './measure.ts';
import { Peer } from './peer.ts';
import { randomCheckpoint, sizes } from './random-checkpoint.ts';

const captions = 1000;
const step = 50;

/** Resident memory in MB, after so many captions. */
interface Sample {
  readonly captions: number;
  readonly megabytes: number;
}

interface LeakRow extends Row {
  /** By the number of captions, in MB. */
  readonly resident: Readonly<Record<string, number>>;
  readonly slope: number;
  readonly slopeUnit: string;
}

export const leak: Claim = {
  description: '1,000 captions in one process: resident memory at the end beside that after the first 50',
  async *run() {
    yield await measure('leak', join(import.meta.dirname, '..', 'models', 'pocket'));
    yield await measure('leak-opt', await randomCheckpoint(sizes.tiny));
  },
};

/** A ratio of 1 says that memory is flat; `slope` is that of a line through all samples. */
async function measure(name: string, model: string): Promise<LeakRow> {
  const subject = Peer.ours('leak', { model });
  const samples: Sample[] = [];
  for (let done = step; done <= captions; done += step) {
    const { megabytes } = await subject.ask(`caption ${step}`);
    samples.push({ captions: done, megabytes: megabytes! });
  }
  await subject.close();
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const shown = samples.filter((s) => [50, 250, 500, 1000].includes(s.captions));
  return {
    ...lessIsBetter({ name, unit: 'MB' }, last.megabytes, first.megabytes),
    resident: Object.fromEntries(shown.map((s) => [s.captions, Math.round(s.megabytes)])),
    slope: Number((1000 * slopeOf(samples)).toPrecision(3)),
    slopeUnit: 'MB per 1,000 captions',
  };
}

/** The slope of the least-squares line. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (s: Sample) => number) => samples.reduce((sum, s) => sum + of(s), 0) / samples.length;
  const [x, y] = [mean((s) => s.captions), mean((s) => s.megabytes)];
  return mean((s) => (s.captions - x) * (s.megabytes - y)) / mean((s) => (s.captions - x) ** 2);
}
