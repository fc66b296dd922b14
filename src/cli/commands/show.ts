import { Command } from 'commander';
import { type LayerGroup, layerGroups, parameterCount } from '../../pipelines/index.ts';
import { loadModel, type ModelOptions, withJson, withModel } from '../options.ts';
import { printRecord } from '../output.ts';

export const show = withJson(withModel(new Command('show')))
  .description('what a model is: its parts, its sizes, and what it can be used for and what its layers compute in')
  .argument('[model]', 'instead of -m')
  .action(async (name: string | undefined, options: ModelOptions & { json?: boolean }) => {
    const model = await loadModel({ ...options, model: name ?? options.model });
    const { folder, config, encoder, language } = model.files;
    const { qformer_config: q } = config;
    const record = {
      model: name ?? options.model,
      folder,
      uses: model.uses,
      parameters: parameterCount(model.files),
      image_encoder: { width: encoder.width, image_size: encoder.imageSize, patch_size: encoder.patchSize },
      qformer: { queries: config.num_query_tokens, layers: q.num_hidden_layers, width: q.hidden_size },
      language_model: language && { type: language.modelType, layers: language.lm.layers, width: language.lm.width },
      linear_layers: layerGroups(model.files),
    };
    printRecord(record, options.json, () =>
      Object.entries(record)
        .filter(([, field]) => field !== undefined)
        .map(([key, field]) => `${key}: ${key === 'linear_layers' ? inLines(record.linear_layers) : inWords(field)}`)
        .join('\n'),
    );
  });

const inLines = (groups: readonly LayerGroup[]): string =>
  groups
    .map(({ layers, count, shape, weights, rows }) => `\n  ${layers}: ${count} of [${shape}], ${weights} by ${rows}`)
    .join('');

function inWords(field: unknown): string {
  if (Array.isArray(field)) return field.join(', ');
  if (typeof field !== 'object' || field === null) return String(field);
  return Object.entries(field)
    .map(([key, part]) => `${key} ${part}`)
    .join(', ');
}
