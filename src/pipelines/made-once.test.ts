import { expect, it } from 'vitest';
import { MadeOnce } from './made-once.ts';

const thing = (notes: string[], name: string) => ({
  release: async () => {
    notes.push(name);
    if (name === 'stuck') throw new Error('stuck');
  },
});

it('makes a thing once, but again where it failed', async () => {
  const made = new MadeOnce();
  let tries = 0;
  const make = async () => {
    tries += 1;
    if (tries === 1) throw new Error('out of memory');
    return thing([], 'it');
  };
  await expect(made.get('it', make)).rejects.toThrow('out of memory');
  expect(made.has('it')).toBe(false);
  const first = await made.get('it', make);
  expect(await made.get('it', make)).toBe(first);
  expect(tries).toBe(2);
});

it('frees all that was made, whatever fails', async () => {
  const made = new MadeOnce();
  const notes: string[] = [];
  const failed = made.get('failed', () => Promise.reject(new Error('out of memory')));
  await made.get('stuck', async () => thing(notes, 'stuck'));
  await made.get('last', async () => thing(notes, 'last'));
  expect(await Promise.allSettled([failed, made.release()])).toMatchObject([
    { reason: new Error('out of memory') },
    { reason: new Error('stuck') },
  ]);
  expect(notes).toEqual(['stuck', 'last']);
});
