import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchPlan } from './batch-plan.ts';

const sets = fc.array(fc.record({ length: fc.integer({ min: 0, max: 40 }), together: fc.constantFrom(1, 2, 4) }), {
  minLength: 1,
  maxLength: 3,
});

it('shows every record at most once in an epoch, in batches of one dataset, with what belongs together', () => {
  fc.assert(
    fc.property(sets, fc.nat(), fc.nat(3), (sets, seed, epoch) => {
      const plan = new BatchPlan(sets, { batchSize: 4, seed });
      const steps = Array.from({ length: plan.stepsPerEpoch }, (_, i) => epoch * plan.stepsPerEpoch + i);
      const seen = new Set<string>();
      for (const { dataset, indices, epoch: told } of steps.map((step) => plan.at(step))) {
        const { length, together } = sets[dataset]!;
        expect(told).toBe(epoch);
        expect(indices).toHaveLength(4);
        for (const index of indices) {
          expect(index).toBeLessThan(length);
          const first = index - (index % together);
          for (let i = 0; i < together; i++) expect(indices).toContain(first + i);
          seen.add(`${dataset} ${index}`);
        }
      }
      expect(seen.size).toBe(4 * steps.length);
    }),
  );
});

it('is a function of the seed and the step', () => {
  const plan = () => new BatchPlan([{ length: 50 }, { length: 30, together: 2 }], { batchSize: 4, seed: 3 });
  const [straight, jumping] = [plan(), plan()];
  const batches = Array.from({ length: 40 }, (_, step) => straight.at(step));
  for (const step of [39, 0, 21, 5]) expect(jumping.at(step)).toEqual(batches[step]);
});
