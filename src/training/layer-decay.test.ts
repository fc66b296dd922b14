import { expect, it } from 'vitest';
import { imageEncoder } from '../models/index.ts';
import { layerDecay } from './layer-decay.ts';

const size = { hidden_size: 8, num_attention_heads: 2, intermediate_size: 8, image_size: 8, patch_size: 4 };
const small = (config: Readonly<Record<string, unknown>>) => {
  const json: Record<string, unknown> = { ...size, ...config };
  return imageEncoder(json);
};

const names = ['embeddings.cls_token', ...[0, 1, 2].map((i) => `encoder.layer.${i}.mlp.fc1.weight`), 'layernorm.bias'];

it("gives what LAVIS's table of scales gives: decay^(L + 1 − layer), embeddings being layer 0, block i layer i + 1", () => {
  const factorOf = layerDecay(small({ model_type: 'dinov2', num_hidden_layers: 3 }), 0.5);
  expect(names.map((name) => factorOf(`vision_model.${name}`))).toEqual([0.5 ** 4, 0.5 ** 3, 0.5 ** 2, 0.5, 1]);
  expect(factorOf('encoder.layer.0.mlp.fc1.weight')).toBe(1); // not the image encoder's
});

it("does not count a CLIP's last block, which nothing reads: LAVIS leaves it out", () => {
  const clip = { model_type: 'clip_vision_model', num_hidden_layers: 4 };
  const factors = (vision_feature_layer: number) => {
    const factorOf = layerDecay(small({ ...clip, vision_feature_layer }), 0.5);
    return [0, 1, 2].map((i) => factorOf(`vision_model.encoder.layers.${i}.mlp.fc1.weight`));
  };
  expect(factors(-2)).toEqual([0.5 ** 3, 0.5 ** 2, 0.5]);
  expect(factors(-1)).toEqual([0.5 ** 4, 0.5 ** 3, 0.5 ** 2]);
});
