import { expect, it } from 'vitest';
import { layerDecay } from './layer-decay.ts';

const names = ['embeddings.cls_token', ...[0, 1, 2].map((i) => `encoder.layer.${i}.mlp.fc1.weight`), 'layernorm.bias'];
const factorOf = (name: string) =>
  Object.entries(layerDecay(names, 0.5)).find(([pattern]) => new RegExp(pattern).test(`vision_model.${name}`))?.[1];

it("gives what LAVIS's table of scales gives: decay^(L + 1 − layer), embeddings being layer 0, block i layer i + 1", () => {
  expect(names.map(factorOf)).toEqual([0.5 ** 4, 0.5 ** 3, 0.5 ** 2, 0.5, undefined]);
  expect(factorOf('encoder.layer.12.mlp.fc1.weight')).toBeUndefined(); // not block 1
});

it('says nothing where nothing decays', () => {
  expect(layerDecay(names, 1)).toEqual({});
});
