import { copyOf, RuntimeError, type Value } from '../core/index.ts';
import { Thread } from '../threads/index.ts';
import type { Computation, createComputation, Values } from './computation.ts';

type Create = Parameters<typeof createComputation>;

/** What the thread is asked to do with a graph, by its number. */
export type SessionQuestion =
  | { readonly create: number; readonly model: Create[0]; readonly options: Create[1] }
  | { readonly run: number; readonly feeds: Values; readonly fetches: readonly string[] | undefined }
  | { readonly release: number };

/**
 * A thread that compiles and runs graphs, one after the other as it is asked, while the one that asks does something else.
 * What is fed and what is computed is copied between them.
 */
export class SessionThread {
  readonly #thread = new Thread<SessionQuestion, Record<string, Value>>({
    name: 'session',
    module: new URL('./session-worker', import.meta.url),
  });
  #created = 0;

  /** A graph that can be fed at once, while it is compiled. Rejects a run where it could not be. */
  create(model: Create[0], options: Create[1]): Computation {
    const number = this.#created++;
    const created = this.#thread.ask({ create: number, model, options });
    created.catch(() => {}); // said by the first run
    return {
      run: async (feeds, fetches) => {
        if (fetches && Object.values(fetches).some((into) => into !== null)) {
          throw new RuntimeError('run: another thread cannot write into a value of this one; fetch null in its place');
        }
        const copies = Object.fromEntries(Object.entries(feeds).map(([name, v]) => [name, copyOf(v)])); // of views, no more
        const results = this.#thread.ask({ run: number, feeds: copies, fetches: fetches && Object.keys(fetches) });
        const [, computed] = await Promise.all([created, results]);
        return computed;
      },
      release: async () => {
        await this.#thread.ask({ release: number });
      },
    };
  }

  /** Ends the thread, and frees what it has compiled. */
  close(): Promise<void> {
    return this.#thread.close();
  }
}
