/** The thread of a SessionThread: compiles and runs graphs by their numbers. */
import { RuntimeError, type Value } from '../core/index.ts';
import { answerQuestions } from '../threads/index.ts';
import { type Computation, createComputation } from './computation.ts';
import type { SessionQuestion } from './session-thread.ts';

const computations = new Map<number, Computation>();
let before: Promise<unknown> = Promise.resolve();

/** One at a time: a graph is fed while it is still being compiled. */
answerQuestions((question: SessionQuestion) => {
  const answer = before.then(() => answerOne(question));
  before = answer.catch(() => {});
  return answer;
});

async function answerOne(question: SessionQuestion): Promise<Record<string, Value>> {
  if ('create' in question) {
    computations.set(question.create, await createComputation(question.model, question.options));
    return {};
  }
  if ('run' in question) {
    const { feeds, fetches } = question;
    return computation(question.run).run(feeds, fetches && Object.fromEntries(fetches.map((name) => [name, null])));
  }
  await computations.get(question.release)?.release();
  computations.delete(question.release);
  return {};
}

function computation(number: number): Computation {
  const found = computations.get(number);
  if (!found) throw new RuntimeError(`graph ${number} was not compiled`); // unseen: why it was not comes first
  return found;
}
