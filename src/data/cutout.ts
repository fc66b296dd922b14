import { join } from 'node:path';
import { z } from 'zod';
import { type OnBad, readJsonLines } from './json-lines.ts';

/** One row of a set of cut-outs: a picture of one thing with alpha, its captions, and where it comes from. */
const cutoutRow = z.object({
  id: z.number().int(),
  /** Relative to the set's folder. */
  image: z.string().min(1),
  caption: z.string().min(1),
  captions: z.array(z.string().min(1)).min(1),
  /** Words that people filed it under, which need not be in its captions. */
  tags: z.array(z.string()).optional(),
  source: z.string(),
  group: z.string(),
  subgroup: z.string(),
  /** A photograph, not a drawing. */
  photo: z.boolean().optional(),
  split: z.string(),
});
export type CutoutRow = z.infer<typeof cutoutRow>;

/** The rows of `folder/data.jsonl`, of one split or of all, of some sources or of all. Throws DataError naming the file, the line and the field. */
export async function readCutouts(
  folder: string,
  {
    split,
    sources,
    onBad,
  }: { split?: string; sources?: readonly string[] | undefined; onBad?: OnBad | undefined } = {},
): Promise<CutoutRow[]> {
  const lines = await readJsonLines(join(folder, 'data.jsonl'), cutoutRow, onBad);
  return lines
    .map(({ row }) => row)
    .filter((row) => (split === undefined || row.split === split) && (sources?.includes(row.source) ?? true));
}
