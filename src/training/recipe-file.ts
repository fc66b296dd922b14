import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { nearest, UsageError } from '../core/index.ts';

type Tree = Record<string, unknown>;

/**
 * Reads a recipe and lays `key=value` arguments (`run.init_lr=1e-4`; values are YAML, lists and mappings in
 * brackets) over it. Throws UsageError naming the file and the field; an unknown key comes with the nearest known one.
 */
export async function readRecipeFile<Schema extends z.ZodType>(
  schema: Schema,
  file: string,
  overrides: readonly string[] = [],
): Promise<z.output<Schema>> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new UsageError(`${file}: expected a recipe in YAML, but it cannot be read (${cause.code})`, { cause });
  });
  return parseRecipeText(schema, text, { file, overrides });
}

/** A recipe from the text of its file. */
export function parseRecipeText<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  { file = 'recipe', overrides = [] }: { file?: string; overrides?: readonly string[] } = {},
): z.output<Schema> {
  const tree = parseYaml(text, file);
  if (!isTree(tree))
    throw new UsageError(`${file}: expected a mapping, found ${tree === null ? 'nothing' : typeof tree}`);
  for (const override of overrides) {
    const [path, yaml] = [override.slice(0, override.indexOf('=')), override.slice(override.indexOf('=') + 1)];
    if (!override.includes('=')) throw new UsageError(`${override}: expected key=value, such as run.seed=7`);
    set(tree, path.split('.'), parseArgument(yaml, path));
  }
  const parsed = schema.safeParse(tree);
  if (parsed.success) return parsed.data;
  throw new UsageError(`${file}: ${explain(parsed.error.issues[0]!, keysOf(schema, tree))}`);
}

function parseYaml(text: string, where: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    throw new UsageError(`${where}: ${cause instanceof Error ? cause.message.split('\n')[0] : cause}`, { cause });
  }
}

/** An argument's value. Lists and mappings stand in brackets there, so `Question: {} Answer:` is the text it looks like. */
function parseArgument(text: string, path: string): unknown {
  if (/^\s*[[{"']/.test(text)) return parseYaml(text, path);
  try {
    const scalar: unknown = parse(text);
    return typeof scalar === 'object' && scalar !== null ? text : scalar;
  } catch {
    return text;
  }
}

const isTree = (node: unknown): node is Tree => typeof node === 'object' && node !== null && !Array.isArray(node);

function set(tree: Tree, [key, ...rest]: string[], v: unknown): void {
  if (key === undefined) return;
  if (rest.length === 0) tree[key] = v;
  else {
    const child = tree[key];
    const next = isTree(child) ? child : {};
    tree[key] = next;
    set(next, rest, v);
  }
}

function explain(issue: z.core.$ZodIssue, known: readonly string[]): string {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const [nearestForm] = issue.errors.toSorted((a, b) => mistakes(a) - mistakes(b));
    const [first] = nearestForm!;
    return explain({ ...first!, path: [...issue.path, ...first!.path] }, known);
  }
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const near = nearest(key, known);
    return `${[path, key].filter(Boolean).join('.')} is not a key of a recipe${near ? `; did you mean ${near}?` : ''}`;
  }
  return `${path || 'the recipe'}: ${issue.message}`;
}

/** How far a value is from one of the forms it may have. */
const mistakes = (issues: readonly z.core.$ZodIssue[]): number =>
  issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0);

/** All keys of the kind of recipe that `tree` says it is. */
function keysOf(schema: z.core.$ZodType, tree: Tree): string[] {
  if (schema instanceof z.ZodObject) {
    return Object.entries(schema.shape).flatMap(([key, child]) => [key, ...keysOf(child, tree)]);
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return keysOf(schema.unwrap(), tree);
  if (schema instanceof z.ZodArray) return keysOf(schema.element, {}); // of all kinds of datasets
  if (!(schema instanceof z.ZodDiscriminatedUnion)) {
    return schema instanceof z.ZodUnion ? schema.options.flatMap((option) => keysOf(option, tree)) : [];
  }
  const { discriminator } = schema.def;
  return schema.options
    .filter(
      (o) =>
        !(discriminator in tree) ||
        (o instanceof z.ZodObject && z.safeParse(o.shape[discriminator], tree[discriminator]).success),
    )
    .flatMap((option) => keysOf(option, tree));
}
