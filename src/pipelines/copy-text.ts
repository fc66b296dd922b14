import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The configurations and tokenizers of a model folder, with those of the Q-Former in a folder of their own, in order. */
export async function textFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const item of await readdir(folder, { withFileTypes: true })) {
    if (item.isDirectory()) {
      // No other: a copy may lie in this folder itself.
      if (item.name !== 'qformer_tokenizer') continue;
      files.push(...(await textFiles(join(folder, item.name))).map((file) => join(item.name, file)));
    } else if (/\.(json|txt)$/.test(item.name) && !item.name.endsWith('.index.json')) files.push(item.name);
  }
  return files.sort();
}

/** Copies them. */
export async function copyText(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const file of await textFiles(from)) {
    await mkdir(dirname(join(to, file)), { recursive: true });
    await copyFile(join(from, file), join(to, file));
  }
}
