import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Configurations and tokenizers, with those of the Q-Former in a folder of their own. */
export async function copyText(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const item of await readdir(from, { withFileTypes: true })) {
    if (item.isDirectory()) {
      // No other: the copy may lie in this folder itself.
      if (item.name === 'qformer_tokenizer') await copyText(join(from, item.name), join(to, item.name));
    } else if (/\.(json|txt)$/.test(item.name) && !item.name.endsWith('.index.json')) {
      await copyFile(join(from, item.name), join(to, item.name));
    }
  }
}
