export { nameBackground } from './background.ts';
export { type Cell, captionsOfCells, cellsOf, standsAlone } from './cells.ts';
export {
  type ComposeOptions,
  composeScene,
  composeSingle,
  exchangeObjects,
  type SceneEntry,
  sceneVocabulary,
} from './compose.ts';
export { swapCaption } from './grammar.ts';
export { type SceneNoun, sceneNoun } from './noun.ts';
export { renderScene } from './render.ts';
export type { Arrangement, Question, QuestionKind, Scene, SceneObject } from './scene.ts';
export { type SceneScore, scoreSceneCaption } from './score.ts';
export { scoredScenes } from './scored.ts';
