import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../core/index.ts';
import { bertFiles, parseTokenizerFiles, type TokenizerFiles } from './files.ts';
import { Tokenizer } from './tokenizer.ts';

/** The tokenizer of a model folder. Throws ConfigError where a file is missing or wrong. */
export const readTokenizer = async (folder: string): Promise<Tokenizer> =>
  new Tokenizer(await readTokenizerFiles(folder));

/** Reads a model folder: `tokenizer.json` and its companions, or a BERT `vocab.txt` alone. Throws ConfigError. */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const read = async (name: string) => {
    const text = await readText(join(folder, name));
    return text === undefined ? undefined : parseJson(text, join(folder, name));
  };
  const tokenizer = await read('tokenizer.json');
  const config = await read('tokenizer_config.json');
  const specialTokensMap = await read('special_tokens_map.json');
  if (tokenizer !== undefined) return parseTokenizerFiles({ tokenizer, config, specialTokensMap }, folder);
  const vocabulary = await readText(join(folder, 'vocab.txt'));
  if (vocabulary === undefined) {
    throw new ConfigError(
      `${folder}: expected a tokenizer (tokenizer.json, or vocab.txt of a BERT model), found neither`,
    );
  }
  return bertFiles(vocabulary.trimEnd().split(/\r?\n/), folder);
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new ConfigError(`${file}: cannot be read: ${String(cause)}`, { cause });
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`${file}: expected JSON, but ${String(cause)}`, { cause });
  }
}
