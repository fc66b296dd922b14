/** The command line from source: `npm start -- caption photo.jpg`. */
import './install.js';

const { register } = await import('tsx/esm/api');
register();
await import('../src/cli/main.ts');
