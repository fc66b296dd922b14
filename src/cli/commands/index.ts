import type { Command } from 'commander';
import { ask } from './ask.ts';
import { average } from './average.ts';
import { bootstrap } from './bootstrap.ts';
import { caption } from './caption.ts';
import { chat } from './chat.ts';
import { embed } from './embed.ts';
import { evaluate } from './evaluate.ts';
import { exportCommand } from './export.ts';
import { imageIndex } from './image-index.ts';
import { list } from './list.ts';
import { match } from './match.ts';
import { pull } from './pull.ts';
import { rm } from './rm.ts';
import { search } from './search.ts';
import { show } from './show.ts';
import { trace } from './trace.ts';
import { train } from './train.ts';

/** The command line's verbs, in the order in which help lists them. */
export const commands: readonly Command[] = [
  caption,
  ask,
  chat,
  match,
  embed,
  imageIndex,
  search,
  train,
  evaluate,
  average,
  bootstrap,
  trace,
  list,
  show,
  pull,
  rm,
  exportCommand,
];
