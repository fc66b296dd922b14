import { expect, it } from 'vitest';
import { layerDecay } from './layer-decay.ts';

const names = ['embeddings.cls_token', ...[0, 1, 2].map((i) => `encoder.layer.${i}.mlp.fc1.weight`), 'layernorm.bias'];
const factorOf = (name: string) => layerDecay(names, 0.5)(`vision_model.${name}`);

it("gives what LAVIS's table of scales gives: decay^(L + 1 − layer), embeddings being layer 0, block i layer i + 1", () => {
  expect(names.map(factorOf)).toEqual([0.5 ** 4, 0.5 ** 3, 0.5 ** 2, 0.5, 1]);
  expect(layerDecay(names, 0.5)('encoder.layer.0.mlp.fc1.weight')).toBe(1); // not the image encoder's
});
