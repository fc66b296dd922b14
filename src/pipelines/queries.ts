import type { Value } from '../core/index.ts';
import type { Sessions } from './sessions.ts';

/** The queries on images alone, and what the model's heads make of them, by the names of `queriesGraph`. */
export async function readQueries(sessions: Sessions, features: Value): Promise<Record<string, Value>> {
  const session = await sessions.queries();
  return session.run({ image_embeds: features });
}
