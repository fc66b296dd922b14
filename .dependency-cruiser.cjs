/**
 * The arrows of the architecture: who may import whom. Pure folders write graphs and touch nothing; effectful ones execute
 * them. An import that these rules refuse is a sign that something is in the wrong folder.
 */
const pure = {
  core: [],
  graph: ['core'],
  nn: ['core', 'graph'],
  optim: ['core', 'graph', 'nn'],
  quantise: ['core', 'graph'],
  models: ['core', 'graph', 'nn'],
  blip2: ['core', 'graph', 'nn', 'models'],
};
const writing = Object.keys(pure);
const effectful = {
  // Text alone: what training and evaluation show in their reports looks the same and is escaped in one place.
  report: [],
  threads: ['core'],
  runtime: ['core', 'graph', 'threads'],
  hub: ['core'],
  image: ['core'],
  text: ['core'],
  generation: ['core', 'graph', 'nn', 'models', 'runtime'],
  pipelines: [...writing, 'runtime', 'hub', 'image', 'text', 'generation'],
  index: ['core', 'graph', 'models', 'runtime', 'hub', 'pipelines'],
  // The cache of features is locked as the hub's cache is.
  data: ['core', 'hub', 'image', 'text', 'threads'],
  training: [...writing, 'runtime', 'hub', 'image', 'text', 'data', 'report'],
  evaluation: ['core', 'image', 'text', 'pipelines', 'data', 'report'],
};
const tests = '\\.test\\.ts$';

const arrows = Object.entries({ ...pure, ...effectful }).map(([folder, allowed]) => ({
  name: `arrows-of-${folder}`,
  comment: `${folder}/ may import ${allowed.join(', ') || 'nothing'}`,
  severity: 'error',
  from: { path: `^src/${folder}/`, pathNot: tests },
  to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'no-cycles',
      comment: 'Files that need each other are one file, or hide a third that both should import.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'only-runtime-executes',
      comment:
        'ONNX Runtime stays behind one folder, so that another version, device or engine is a change there alone.',
      severity: 'error',
      from: { pathNot: '^src/runtime/' },
      to: { path: 'onnxruntime' },
    },
    {
      name: 'pure-folders-do-no-io',
      comment: 'Graph-writing code runs in a browser as it is, and is tested without files.',
      severity: 'error',
      from: { path: `^src/(${writing.join('|')})/`, pathNot: tests },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'through-the-front-door',
      comment: "A folder's index.ts is its interface; what it does not export may change without notice.",
      severity: 'error',
      from: { path: '^src/([^/]+)/', pathNot: tests },
      to: { path: '^src/[^/]+/.+', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'models-through-the-front-door',
      comment: 'The same for a model: another may use what its index.ts exports.',
      severity: 'error',
      from: { path: '^src/models/([^/]+)/', pathNot: tests },
      to: { path: '^src/models/[^/]+/.+', pathNot: ['^src/models/$1/', '^src/models/[^/]+/index\\.ts$'] },
    },
    {
      name: 'dependencies-are-declared',
      comment: 'What the package needs at run time must be in its dependencies, or it breaks where it is installed.',
      severity: 'error',
      from: { path: '^src/', pathNot: tests },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
