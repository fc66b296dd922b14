export { answerQuestions } from './answer.ts';
export { Thread, type ThreadOptions } from './thread.ts';
