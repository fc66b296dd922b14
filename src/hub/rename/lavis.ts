import { CheckpointError, toFloat32, type Value } from '../../core/index.ts';
import { concatRows, splitThirds, zeros } from './rows.ts';
import { type NameTable, type Renamer, toFirst, toSecond } from './table.ts';

/**
 * Hugging Face's names, beside LAVIS's, of a stage-1 model (lavis/models/blip2_models/blip2_qformer.py). `temp` and the
 * captioning head have no place in transformers: the one keeps LAVIS's name, the other has that of BertLMHeadModel.
 */
const stageOne: NameTable = [
  ['query_tokens', 'query_tokens'],
  ['temp', 'temp'],
  ['embeddings.#_embeddings.weight', 'Qformer.bert.embeddings.#_embeddings.weight'],
  ['qformer.layernorm.#', 'Qformer.bert.embeddings.LayerNorm.#'],
  ['qformer.encoder.layer.#.attention.attention.#', 'Qformer.bert.encoder.layer.#.attention.self.#'],
  ['qformer.encoder.layer.#.crossattention.attention.#', 'Qformer.bert.encoder.layer.#.crossattention.self.#'],
  ['qformer.encoder.layer.#', 'Qformer.bert.encoder.layer.#'],
  ['cls.predictions.#', 'Qformer.cls.predictions.#'],
  ['vision_projection.#', 'vision_proj.#'],
  ['text_projection.#', 'text_proj.#'],
  ['itm_head.#', 'itm_head.#'],
];

/** The ViT-g of EVA (lavis/models/eva_vit.py). */
const eva: NameTable = [
  ['vision_model.embeddings.class_embedding', 'visual_encoder.cls_token'],
  ['vision_model.embeddings.position_embedding', 'visual_encoder.pos_embed'],
  ['vision_model.embeddings.patch_embedding.#', 'visual_encoder.patch_embed.proj.#'],
  ['vision_model.encoder.layers.#.layer_norm1.#', 'visual_encoder.blocks.#.norm1.#'],
  ['vision_model.encoder.layers.#.layer_norm2.#', 'visual_encoder.blocks.#.norm2.#'],
  ['vision_model.encoder.layers.#.self_attn.projection.#', 'visual_encoder.blocks.#.attn.proj.#'],
  ['vision_model.encoder.layers.#.self_attn.qkv.#', 'visual_encoder.blocks.#.attn.qkv.#'],
  ['vision_model.encoder.layers.#.mlp.#', 'visual_encoder.blocks.#.mlp.#'],
  ['vision_model.post_layernorm.#', 'ln_vision.#'],
];

/**
 * CLIP's ViT (lavis/models/clip_vit.py). Its `ln_vision` is another layer than CLIP's own post_layernorm, which LAVIS
 * does not have, and so keeps its name.
 */
const clip: NameTable = [
  ['vision_model.embeddings.class_embedding', 'visual_encoder.class_embedding'],
  ['vision_model.embeddings.position_embedding.weight', 'visual_encoder.positional_embedding'],
  ['vision_model.embeddings.patch_embedding.weight', 'visual_encoder.conv1.weight'],
  ['vision_model.pre_layrnorm.#', 'visual_encoder.ln_pre.#'],
  ['vision_model.encoder.layers.#.layer_norm1.#', 'visual_encoder.transformer.resblocks.#.ln_1.#'],
  ['vision_model.encoder.layers.#.layer_norm2.#', 'visual_encoder.transformer.resblocks.#.ln_2.#'],
  ['vision_model.encoder.layers.#.self_attn.#', 'visual_encoder.transformer.resblocks.#.attn.#'],
  ['vision_model.encoder.layers.#.mlp.fc1.#', 'visual_encoder.transformer.resblocks.#.mlp.c_fc.#'],
  ['vision_model.encoder.layers.#.mlp.fc2.#', 'visual_encoder.transformer.resblocks.#.mlp.c_proj.#'],
  ['vision_model.ln_vision.#', 'ln_vision.#'],
];

/** What LAVIS stores twice (the head's matrix is the word embedding) or that is no weight (the positions 0, 1, 2, …). */
const redundant = /^Qformer\.(cls\.predictions\.decoder\.\w+|bert\.embeddings\.position_ids)$/;

type Tensors = Readonly<Record<string, Value>>;

/**
 * A LAVIS state dict (stage 1, an image encoder, or both) under Hugging Face's names. EVA's query and value biases
 * become one qkv bias, CLIP's in_proj three matrices. Throws CheckpointError naming what it does not know.
 */
export function fromLavis(tensors: Tensors): Record<string, Value> {
  const names = Object.keys(tensors).filter((name) => !redundant.test(name));
  const isClip = names.some((name) => name.startsWith('visual_encoder.transformer.'));
  const kept = Object.fromEntries(names.map((name) => [name, tensors[name]!]));
  return rename(isClip ? splitInProjections(kept) : joinBiases(kept), toFirst([...stageOne, ...(isClip ? clip : eva)]));
}

/** The inverse of `fromLavis`. Throws CheckpointError for names that LAVIS has no place for. */
export function toLavis(tensors: Tensors): Record<string, Value> {
  const isClip = Object.keys(tensors).some((name) => /^vision_model\..*\.self_attn\.q_proj\./.test(name));
  const renamed = rename(tensors, toSecond([...stageOne, ...(isClip ? clip : eva)]));
  return isClip ? joinInProjections(renamed) : splitBiases(renamed);
}

function rename(tensors: Tensors, renamer: Renamer): Record<string, Value> {
  const renamed = Object.entries(tensors).map(([name, tensor]) => ({ name, tensor, to: renamer(name) }));
  const unknown = renamed.filter(({ to }) => to === undefined).map(({ name }) => name);
  if (unknown.length > 0) throw new CheckpointError(`no counterpart is known for ${unknown.join(', ')}`);
  return Object.fromEntries(renamed.map(({ to, tensor }) => [to, tensor]));
}

/** EVA's attention has biases for queries and values only: q_bias, v_bias <-> qkv.bias = [q_bias, 0, v_bias]. */
const joinBiases = (tensors: Tensors) =>
  replaceEntries(tensors, (name, tensor) => {
    if (!/\.attn\.[qv]_bias$/.test(name)) return [[name, tensor]];
    const queryBias = partner(tensors, name, 'q_bias');
    const valueBias = partner(tensors, name, 'v_bias');
    if (tensor !== queryBias) return []; // once for the pair
    return [[sibling(name, 'qkv.bias'), concatRows([queryBias, zeros(tensor.dtype, tensor.shape), valueBias])]];
  });

const splitBiases = (tensors: Tensors) =>
  replaceEntries(tensors, (name, tensor) => {
    if (!name.endsWith('.attn.qkv.bias')) return [[name, tensor]];
    const [query, key, valueBias] = splitThirds(tensor);
    if (toFloat32(key).some((x) => x !== 0)) {
      throw new CheckpointError(`tensor ${name}: the keys have a bias, which LAVIS has no place for`);
    }
    return [
      [sibling(name, 'q_bias'), query],
      [sibling(name, 'v_bias'), valueBias],
    ];
  });

/** CLIP's attention in PyTorch's form: in_proj_weight <-> q_proj.weight, k_proj.weight, v_proj.weight; and the biases. */
const splitInProjections = (tensors: Tensors) =>
  replaceEntries(tensors, (name, tensor) => {
    const kind = /\.attn\.in_proj_(weight|bias)$/.exec(name)?.[1];
    if (kind === undefined) return [[name, tensor]];
    const [query, key, valueProjection] = splitThirds(tensor);
    return [
      [sibling(name, `q_proj.${kind}`), query],
      [sibling(name, `k_proj.${kind}`), key],
      [sibling(name, `v_proj.${kind}`), valueProjection],
    ];
  });

const joinInProjections = (tensors: Tensors) =>
  replaceEntries(tensors, (name, tensor) => {
    const kind = /\.attn\.[qkv]_proj\.(weight|bias)$/.exec(name)?.[1];
    if (kind === undefined) return [[name, tensor]];
    const query = partner(tensors, name, `q_proj.${kind}`);
    const key = partner(tensors, name, `k_proj.${kind}`);
    const valueProjection = partner(tensors, name, `v_proj.${kind}`);
    if (tensor !== query) return []; // once for the three
    return [[sibling(name, `in_proj_${kind}`), concatRows([query, key, valueProjection])]];
  });

/** Another tensor of the attention that `name` belongs to. */
const sibling = (name: string, last: string): string => name.replace(/\.attn\..*$/, `.attn.${last}`);

function partner(tensors: Tensors, name: string, last: string): Value {
  const found = tensors[sibling(name, last)];
  if (found === undefined) throw new CheckpointError(`tensor ${name} is here, but ${sibling(name, last)} is missing`);
  return found;
}

function replaceEntries(
  tensors: Tensors,
  replace: (name: string, tensor: Value) => (readonly [string, Value])[],
): Record<string, Value> {
  return Object.fromEntries(Object.entries(tensors).flatMap(([name, tensor]) => replace(name, tensor)));
}
