import { readFile } from 'node:fs/promises';
import { ConfigError } from '../core/index.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** The object in a model's JSON file. Throws ConfigError naming the file where it cannot be read or is no object. */
export async function readJsonObject(file: string): Promise<JsonObject> {
  try {
    return jsonObject(JSON.parse(await readFile(file, 'utf8')), file);
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(`${file}: expected a model's configuration, but ${String(cause)}`, { cause });
  }
}

/** A value that has to be an object; `where` is what the ConfigError calls it. */
export function jsonObject(json: unknown, where: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return Object.fromEntries(Object.entries(json));
  throw new ConfigError(`${where}: expected an object, found ${JSON.stringify(json)}`);
}
