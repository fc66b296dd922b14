import type { Command } from 'commander';
import { ask } from './ask.ts';
import { caption } from './caption.ts';
import { embed } from './embed.ts';
import { evaluate } from './evaluate.ts';
import { exportCommand } from './export.ts';
import { list } from './list.ts';
import { match } from './match.ts';
import { pull } from './pull.ts';
import { rm } from './rm.ts';
import { show } from './show.ts';
import { trace } from './trace.ts';
import { train } from './train.ts';

/** The command line's verbs, in the order in which help lists them. */
export const commands: readonly Command[] = [
  caption,
  ask,
  match,
  embed,
  train,
  evaluate,
  trace,
  list,
  show,
  pull,
  rm,
  exportCommand,
];
