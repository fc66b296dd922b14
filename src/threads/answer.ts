import { parentPort, type TransferListItem } from 'node:worker_threads';
import type { Answered, Asked } from './messages.ts';

/**
 * Makes this module a thread's: each question is answered as soon as its answer is known, whatever came before it.
 * `handOver` names the buffers of an answer that need not be copied.
 */
export function answerQuestions<Question, Answer>(
  answer: (question: Question) => Promise<Answer>,
  handOver: (answer: Answer) => readonly TransferListItem[] = () => [],
): void {
  const port = parentPort!;
  port.on('message', async ({ ticket, question }: Asked<Question>) => {
    try {
      const found = await answer(question);
      port.postMessage({ ticket, answer: found } satisfies Answered<Answer>, handOver(found));
    } catch (thrown) {
      const { name, message } = thrown instanceof Error ? thrown : new Error(String(thrown));
      port.postMessage({ ticket, error: { name, message } } satisfies Answered<Answer>);
    }
  });
}
