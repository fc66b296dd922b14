/** A thread for tests, which answers what it is asked. */
import { answerQuestions } from './index.ts';

answerQuestions(async (question: unknown) => question);
