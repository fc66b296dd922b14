import { join } from 'node:path';
import { Command } from 'commander';
import {
  type Evaluation,
  evaluateModel,
  evaluationRecipe,
  type Metrics,
  metricGroups,
  type Progress,
} from '../../evaluation/index.ts';
import { writeJson, writeText } from '../../hub/index.ts';
import { readRecipeFile } from '../../training/index.ts';
import { interruption } from '../interrupt.ts';
import { withJson } from '../options.ts';
import { printRecord } from '../output.ts';
import { inWords, StatusLine } from '../status-line.ts';

export const evaluate = withJson(new Command('evaluate'))
  .description('measure a model on a benchmark, as a recipe says')
  .argument('<recipe>', 'a YAML file: its benchmark, model, data and run')
  .argument('[key=value...]', "laid over the recipe's, e.g. model=pocket run.limit=100")
  .option('--skip-bad', 'leave out records and pictures that cannot be used, and say which')
  .action(async (file: string, overrides: string[], options: { json?: boolean; skipBad?: boolean }) => {
    const recipe = await readRecipeFile(evaluationRecipe, file, overrides);
    const status = new StatusLine();
    const line = progressLines();
    const evaluation = evaluateModel(recipe, {
      signal: interruption,
      skipBad: options.skipBad,
      onProgress: (progress) => status.show(line(progress)),
      onMessage: (text) => status.note(text),
    });
    const result = await evaluation.finally(() => status.end());
    if (recipe.run.output_dir !== undefined) await save(recipe.run.output_dir, result);
    if (options.json) process.stderr.write(`${table(result.metrics)}\n`); // for whoever watches
    printRecord(result.metrics, options.json, table);
  });

async function save(folder: string, { metrics, predictions, submission, page }: Evaluation): Promise<void> {
  await writeJson(join(folder, 'metrics.json'), metrics);
  const lines = predictions.map((prediction) => `${JSON.stringify(prediction)}\n`);
  await writeText(join(folder, 'predictions.jsonl'), lines.join(''));
  if (submission) await writeJson(join(folder, 'submission.json'), submission);
  if (page !== undefined) await writeText(join(folder, 'report.html'), page);
}

/** `captions: writing captions 128/5000  12/s  7 min left`: a part begins where the one before it ended. */
function progressLines(): (progress: Progress) => string {
  let current = '';
  let start = performance.now();
  let last = start;
  return ({ part, done, total }) => {
    if (part !== current) [current, start] = [part, last];
    last = performance.now();
    const rate = (1000 * done) / (last - start);
    const left = inWords((total - done) / rate);
    return `${part} ${done}/${total}  ${rate.toFixed(rate < 10 ? 1 : 0)}/s  ${left} left`;
  };
}

/** One line for every group of figures, under its names. */
function table(metrics: Metrics): string {
  const groups = [...metricGroups(metrics)].map(({ path, figures }) => ({ name: path.join(' '), figures }));
  const width = Math.max(...groups.map(({ name }) => name.length));
  return groups.map(({ name, figures }) => `${name.padEnd(width)}  ${figures.map(shown).join('  ')}`).join('\n');
}

const shown = ([name, figure]: readonly [string, number]): string =>
  `${name} ${Number.isInteger(figure) ? figure : figure.toFixed(1)}`;
