import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ResolveOptions, resolveModel } from '../hub/index.ts';

/** `models/` stands beside the sources and beside what is built from them. */
const folder = fileURLToPath(new URL('../../models/', import.meta.url));

/** The models that come with the package: their folders by name. */
export async function bundledModels(): Promise<ReadonlyMap<string, string>> {
  const found = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return new Map(found.filter((each) => each.isDirectory()).map(({ name }) => [name, join(folder, name)]));
}

/** The folder of a model that comes with the package, or else as `resolveModel` finds it. */
export const findModel = async (model: string, options: ResolveOptions): Promise<string> =>
  (await bundledModels()).get(model) ?? (await resolveModel(model, options));
