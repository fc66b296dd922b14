import { join } from 'node:path';
import { Command } from 'commander';
import { evaluateModel, evaluationRecipe, type Metrics, type Prediction } from '../../evaluation/index.ts';
import { writeJson, writeText } from '../../hub/index.ts';
import { readRecipeFile } from '../../training/index.ts';
import { interruption } from '../interrupt.ts';
import { withJson } from '../options.ts';
import { printRecord } from '../output.ts';
import { partProgress } from '../part-progress.ts';

export const evaluate = withJson(new Command('evaluate'))
  .description('measure a model on a benchmark, as a recipe says')
  .argument('<recipe>', 'a YAML file: its benchmark, model, data and run')
  .argument('[key=value...]', "laid over the recipe's, e.g. model=pocket run.limit=100")
  .action(async (file: string, overrides: string[], options: { json?: boolean }) => {
    const recipe = await readRecipeFile(evaluationRecipe, file, overrides);
    const progress = partProgress();
    const evaluation = evaluateModel(recipe, { signal: interruption, onProgress: progress.show });
    const { metrics, predictions } = await evaluation.finally(progress.stop);
    if (recipe.run.output_dir !== undefined) await save(recipe.run.output_dir, { metrics, predictions });
    printRecord(metrics, options.json, table);
  });

async function save(
  folder: string,
  { metrics, predictions }: { metrics: Metrics; predictions: readonly Prediction[] },
): Promise<void> {
  await writeJson(join(folder, 'metrics.json'), metrics);
  const lines = predictions.map((prediction) => `${JSON.stringify(prediction)}\n`);
  await writeText(join(folder, 'predictions.jsonl'), lines.join(''));
}

/** One line for every group of figures, under its names. */
function table(metrics: Metrics): string {
  const groups = [...groupsOf(metrics, [])];
  const width = Math.max(...groups.map(({ name }) => name.length));
  return groups.map(({ name, figures }) => `${name.padEnd(width)}  ${figures}`).join('\n');
}

function* groupsOf(metrics: Metrics, path: readonly string[]): Generator<{ name: string; figures: string }> {
  const figures = Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
  if (figures.length > 0) {
    const shown = figures.map(([name, figure]) => `${name} ${Number.isInteger(figure) ? figure : figure.toFixed(1)}`);
    yield { name: path.join(' '), figures: shown.join('  ') };
  }
  for (const [name, group] of Object.entries(metrics)) {
    if (typeof group !== 'number') yield* groupsOf(group, [...path, name]);
  }
}
