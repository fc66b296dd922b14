import { Command } from 'commander';
import { expect, it } from 'vitest';
import { type WritingFlags, withWriting, writingOptions } from './options.ts';

const parse = (...args: string[]) => {
  const command = withWriting(new Command().exitOverride().configureOutput({ writeErr: () => {} }));
  return writingOptions(command.parse(args, { from: 'user' }).opts<WritingFlags>());
};

it('stops beams early, or never, or as is usual', () => {
  expect(parse('--num-beams', '4').earlyStopping).toBeUndefined();
  expect(parse('--early-stopping', '--num-beams', '4')).toMatchObject({ earlyStopping: true, numBeams: 4 });
  expect(parse('--early-stopping', 'never').earlyStopping).toBe('never');
  expect(() => parse('--early-stopping', 'soon')).toThrow(/early-stopping/);
});

it('takes --no-repeat-ngram-size for a size', () => {
  expect(parse('--no-repeat-ngram-size', '3').noRepeatNgramSize).toBe(3);
});
