import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where models come from and where they are kept; the variables and their defaults are those of huggingface_hub. */
export interface HubSettings {
  /** HF_ENDPOINT */
  readonly endpoint: string;
  /** HF_HUB_CACHE, else `hub` in HF_HOME, else `huggingface/hub` in XDG_CACHE_HOME or ~/.cache */
  readonly cacheFolder: string;
  /** HF_TOKEN, else the contents of HF_TOKEN_PATH, else of `token` in HF_HOME */
  readonly token: string | undefined;
  /** HF_HUB_OFFLINE */
  readonly offline: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The settings that the environment variables give; empty ones count as unset, as there. */
export async function hubSettings(env: Environment = process.env): Promise<HubSettings> {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    cacheFolder: env.HF_HUB_CACHE || join(home, 'hub'),
    token: env.HF_TOKEN || (await readToken(env.HF_TOKEN_PATH || join(home, 'token'))),
    offline: /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? ''),
  };
}

async function readToken(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => ''); // no file, no token: most models need none
  return text.trim() || undefined;
}
