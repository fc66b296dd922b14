import { CheckpointError } from '../../core/index.ts';
import type { GgufFile, GgufTensor } from './file.ts';

/** llama.cpp's tensor names and Hugging Face's, for the Llama architecture (`gguf-py/gguf/tensor_mapping.py`). */
const names: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight', // absent where the output is tied to the embeddings
};

const blockNames: Readonly<Record<string, string>> = {
  'attn_norm.weight': 'input_layernorm.weight',
  'attn_q.weight': 'self_attn.q_proj.weight',
  'attn_k.weight': 'self_attn.k_proj.weight',
  'attn_v.weight': 'self_attn.v_proj.weight',
  'attn_output.weight': 'self_attn.o_proj.weight',
  'ffn_norm.weight': 'post_attention_layernorm.weight',
  'ffn_gate.weight': 'mlp.gate_proj.weight',
  'ffn_up.weight': 'mlp.up_proj.weight',
  'ffn_down.weight': 'mlp.down_proj.weight',
};

/** The Hugging Face name of a tensor. Throws CheckpointError for one that a plain Llama does not have. */
export function llamaName(file: GgufFile, tensor: GgufTensor): string {
  const [, layer, part = ''] = /^blk\.(\d+)\.(.+)$/.exec(tensor.name) ?? [];
  const name =
    layer === undefined ? names[tensor.name] : blockNames[part] && `model.layers.${layer}.${blockNames[part]}`;
  if (name === undefined) {
    throw new CheckpointError(`${file.path}: tensor ${tensor.name} is not one of a plain Llama model`);
  }
  return name;
}

/** How rotary positions are scaled. Throws CheckpointError for a scaling that is not told in whole by its factor. */
function ropeScaling(file: GgufFile): { rope_type: 'linear'; factor: number } | null {
  const key = 'llama.rope.scaling.type';
  const type = file.has(key) ? file.string(key) : 'none';
  if (type === 'none') return null;
  if (type === 'linear') return { rope_type: type, factor: file.number('llama.rope.scaling.factor') };
  throw new CheckpointError(
    `${file.path}: ${key}: expected none or linear, found ${type}; convert it from its own folder`,
  );
}

/** The fields of Hugging Face's LlamaConfig, from the metadata. Throws CheckpointError for another architecture. */
export function llamaConfig(file: GgufFile) {
  const architecture = file.string('general.architecture');
  if (architecture !== 'llama') {
    throw new CheckpointError(`${file.path}: architecture ${architecture}; only llama can be converted`);
  }
  const embeddings = file.tensors.get('token_embd.weight');
  if (embeddings === undefined) throw new CheckpointError(`${file.path}: no tensor token_embd.weight`);
  const heads = file.number('llama.attention.head_count');
  const width = file.number('llama.embedding_length');
  const optional = (key: string, otherwise: number) => (file.has(key) ? file.number(key) : otherwise);
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: embeddings.shape[0]!,
    hidden_size: width,
    intermediate_size: file.number('llama.feed_forward_length'),
    num_hidden_layers: file.number('llama.block_count'),
    num_attention_heads: heads,
    num_key_value_heads: optional('llama.attention.head_count_kv', heads),
    head_dim: optional('llama.attention.key_length', width / heads),
    hidden_act: 'silu',
    max_position_embeddings: file.number('llama.context_length'),
    // GGUF stores float32: seven digits give back the number that was meant (1e-5, not 9.999999747378752e-6).
    rms_norm_eps: Number(file.number('llama.attention.layer_norm_rms_epsilon').toPrecision(7)),
    rope_theta: optional('llama.rope.freq_base', 10_000),
    rope_scaling: ropeScaling(file),
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: !file.tensors.has('output.weight'),
    bos_token_id: file.number('tokenizer.ggml.bos_token_id'),
    eos_token_id: file.number('tokenizer.ggml.eos_token_id'),
    pad_token_id: optional('tokenizer.ggml.padding_token_id', file.number('tokenizer.ggml.eos_token_id')),
    torch_dtype: 'float16',
  };
}

export type LlamaConfig = ReturnType<typeof llamaConfig>;

/** A tensor's elements in Hugging Face's row order. */
export async function readLlamaTensor(file: GgufFile, tensor: GgufTensor, config: LlamaConfig): Promise<Float32Array> {
  const data = await file.read(tensor);
  if (tensor.name.endsWith('attn_q.weight')) return splitRotaryPairs(data, config.num_attention_heads, config.head_dim);
  if (tensor.name.endsWith('attn_k.weight')) return splitRotaryPairs(data, config.num_key_value_heads, config.head_dim);
  return data;
}

/**
 * llama.cpp rotates neighbouring rows (2i, 2i + 1) of a head; Hugging Face rotates rows (i, i + headDim / 2). Its
 * converter interleaves the rows of queries and keys; this puts them back. `weight` is [heads · headDim, width].
 */
export function splitRotaryPairs(weight: Float32Array, heads: number, headDim: number): Float32Array {
  const width = weight.length / (heads * headDim);
  const out = new Float32Array(weight.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headDim; row++) {
      const from = (head * headDim + row) * width;
      const to = (head * headDim + (row % 2) * (headDim / 2) + (row >> 1)) * width;
      out.set(weight.subarray(from, from + width), to);
    }
  }
  return out;
}
