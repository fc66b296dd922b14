interface Released {
  release(): Promise<void>;
}

/** By name, what is made when it is first asked for. What could not be made is forgotten, and tried again when asked for. */
export class MadeOnce {
  readonly #made = new Map<string, Promise<Released>>();

  has(name: string): boolean {
    return this.#made.has(name);
  }

  get<T extends Released>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.#made.get(name) as Promise<T> | undefined;
    if (known) return known;
    const made = make();
    this.#made.set(name, made);
    made.catch(() => {
      if (this.#made.get(name) === made) this.#made.delete(name);
    });
    return made;
  }

  /** Frees all that was made, and forgets it. Throws the first error of what could not be freed, after freeing the rest. */
  async release(): Promise<void> {
    const made = await Promise.allSettled(this.#made.values());
    this.#made.clear();
    const freed = await Promise.allSettled(
      made.map((each) => (each.status === 'fulfilled' ? each.value.release() : undefined)),
    );
    for (const each of freed) if (each.status === 'rejected') throw each.reason;
  }
}
