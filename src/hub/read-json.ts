import { readFile } from 'node:fs/promises';
import { ConfigError, type JsonObject, jsonObject } from '../core/index.ts';

/** The object in a model's JSON file. Throws ConfigError naming the file where it cannot be read or is no object. */
export async function readJsonObject(file: string): Promise<JsonObject> {
  try {
    return jsonObject(JSON.parse(await readFile(file, 'utf8')), file);
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(`${file}: expected a model's configuration, but ${String(cause)}`, { cause });
  }
}
