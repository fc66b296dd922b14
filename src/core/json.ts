import { ConfigError } from './errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** A value that has to be an object; `where` is what the ConfigError calls it. */
export function jsonObject(json: unknown, where: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return Object.fromEntries(Object.entries(json));
  throw new ConfigError(`${where}: expected an object, found ${JSON.stringify(json)}`);
}
