/**
 * Installs the dependencies if node_modules is absent or differs from package-lock.json, so that every npm script works
 * from a fresh clone. Plain JavaScript, because nothing is installed yet when it runs.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);

/** The packages of a lock file by their folder; npm keeps a second one that says what it has installed. */
function packages(lockFile) {
  try {
    return JSON.parse(readFileSync(new URL(lockFile, root), 'utf8')).packages ?? {};
  } catch {
    return undefined;
  }
}

function isComplete() {
  const wanted = packages('package-lock.json');
  const installed = packages('node_modules/.package-lock.json');
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([folder, { version, optional }]) => {
    return folder === '' || optional || installed[folder]?.version === version; // optional: other platforms' binaries
  });
}

if (!isComplete()) {
  process.stderr.write('blip2: installing the dependencies (npm ci), once …\n');
  const { npm_execpath: npm } = process.env;
  const [command, before] = npm ? [process.execPath, [npm]] : ['npm', []];
  const { status, error, stdout, stderr } = spawnSync(command, [...before, 'ci', '--include=dev', '--loglevel=error'], {
    cwd: fileURLToPath(root),
    encoding: 'utf8',
  });
  if (status !== 0) {
    process.stderr.write(`${stdout ?? ''}${stderr ?? error}\nblip2: npm ci failed; run it by hand to see more\n`);
    process.exit(1);
  }
}
