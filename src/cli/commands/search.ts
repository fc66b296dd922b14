import { Command } from 'commander';
import { UsageError } from '../../core/index.ts';
import { type Found, ImageIndex, type Query } from '../../index/index.ts';
import { imageInput } from '../images.ts';
import { interruption } from '../interrupt.ts';
import { loadModel, type ModelOptions, withJson, withModel } from '../options.ts';
import { printRecord } from '../output.ts';

interface Options extends ModelOptions {
  readonly json?: boolean;
  readonly image?: string;
  readonly k: number;
  readonly candidates: number;
  readonly rerank: boolean;
}

export const search = withJson(withModel(new Command('search')))
  .description('find images of an index: the best by cosine (ITC), ranked anew by probability (ITM)')
  .argument('<index>', 'a folder, lance:FOLDER, or the URI of an object store')
  .argument('[text]', 'what to look for')
  .option('--image <file>', 'look for images like this one instead; - for standard input')
  .option('-k <n>', 'results', positive, 10)
  .option('--candidates <n>', 'how many of the best by ITC are ranked anew', positive, 128)
  .option('--no-rerank', 'leave them in the order of ITC')
  .action(async (name: string, text: string | undefined, options: Options) => {
    const query = await queryOf(text, options.image);
    const index = await ImageIndex.open(name, await loadModel(options));
    try {
      const { k, candidates, rerank } = options;
      for (const found of await index.search(query, { k, candidates, rerank, signal: interruption })) {
        printRecord(found, options.json, inWords);
      }
    } finally {
      await index.close();
    }
  });

async function queryOf(text: string | undefined, image: string | undefined): Promise<Query> {
  if (text !== undefined && image === undefined) return { text };
  if (text === undefined && image !== undefined) return { image: await imageInput(image) };
  throw new UsageError('search: expected either a text or --image');
}

const inWords = ({ rank, image, itc, itm, step }: Found): string => {
  const scores = `ITC ${itc.toFixed(3)}  ${itm === null ? '' : `ITM ${(100 * itm).toFixed(1).padStart(5)} %  `}`;
  return `${String(rank).padStart(3)}  by ${step.toUpperCase()}  ${scores}${image}`;
};

function positive(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError(`search: expected a positive whole number, found ${text}`);
}
