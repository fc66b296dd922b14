import { Command } from 'commander';
import { imageInput } from '../images.ts';
import { interruption } from '../interrupt.ts';
import { loadModel, type ModelOptions, withJson, withModel } from '../options.ts';
import { printRecord } from '../output.ts';
import { readLines } from '../read-lines.ts';

interface Options extends ModelOptions {
  readonly json?: boolean;
}

export const match = withJson(withModel(new Command('match')))
  .description('score how well texts fit an image: cosine (ITC) and probability (ITM)')
  .argument('<image>', 'a file, or - for standard input')
  .argument('<text...>', 'texts; - reads one a line from standard input')
  .action(async (image: string, given: string[], options: Options) => {
    const texts = (await Promise.all(given.map(async (text) => (text === '-' ? readLines('-') : [text])))).flat();
    const model = await loadModel(options);
    const matches = await model.match(await imageInput(image), texts, { signal: interruption });
    for (const { text, itc, itm } of matches) {
      printRecord({ image, text, itc, itm }, options.json, () => `${itc.toFixed(3)}  ${percent(itm)}  ${text}`);
    }
  });

const percent = (probability: number): string => `${(100 * probability).toFixed(1).padStart(5)} %`;
