import { Command } from 'commander';
import { DataError, floats, toFloat32, UsageError, type Value } from '../../core/index.ts';
import { Checkpoint, outputTarget, writeSafetensors } from '../../hub/index.ts';
import { imageInput } from '../images.ts';
import { interruption } from '../interrupt.ts';
import { loadModel, type ModelOptions, withJson, withModel } from '../options.ts';
import { printRecord } from '../output.ts';

interface Options extends ModelOptions {
  readonly json?: boolean;
  readonly out: string;
  readonly image?: string;
  readonly from?: string;
  readonly text?: string;
  readonly question?: string;
}

export const trace = withJson(withModel(new Command('trace')))
  .description("write the named tensors of one run to a safetensors file, to hold against another implementation's")
  .option('--image <file>', 'a picture, or - for standard input')
  .option('--from <file>', 'take pixel_values [B, 3, H, W] from a safetensors file instead')
  .option('--text <text>', 'to compare with the image; the prompt of a model that does not compare')
  .option('--question <text>', 'to the language model, in its template')
  .requiredOption('-o, --out <file>', 'where to, e.g. trace.safetensors')
  .action(async (options: Options) => {
    const { image, from, text, question, out } = options;
    if ((image === undefined) === (from === undefined)) throw new UsageError('trace: expected --image or --from');
    await outputTarget(out); // refuses a folder before anything is computed
    const model = await loadModel(options);
    const source = from === undefined ? await imageInput(image!) : await readPixelValues(from);
    const tensors = await model.trace({ image: source, text, question, signal: interruption });
    await writeSafetensors(out, tensors, { model: options.model });
    const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
    printRecord({ out, tensors: shapes }, options.json, () =>
      Object.entries(shapes)
        .map(([name, shape]) => `${name} [${shape.join(', ')}]`)
        .join('\n'),
    );
  });

async function readPixelValues(file: string): Promise<Value<'float32'>> {
  const found = await (await Checkpoint.open(file)).read('pixel_values');
  if (found.shape.length === 4 && found.shape[1] === 3) return floats(found.shape, toFloat32(found));
  throw new DataError(`${file}: pixel_values must be [B, 3, H, W], found [${found.shape.join(', ')}]`);
}
