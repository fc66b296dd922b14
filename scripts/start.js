/** The command line from source: `npm start -- caption photo.jpg`. */
import './install.js';

// npm changes to the package's folder; paths are meant from where it was called.
if (process.env.npm_lifecycle_event === 'start' && process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);

const { register } = await import('tsx/esm/api');
register();
await import('../src/cli/main.ts');
