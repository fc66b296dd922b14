#!/usr/bin/env node
import { runWithHugePages } from './huge-pages.ts';

const args = process.argv.slice(2);
process.exitCode = (await runWithHugePages(args)) ?? (await (await import('./program.ts')).run(args));
