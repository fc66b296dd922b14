import { add, linearProduct, markBlock, mul, type Tensor } from '../../graph/index.ts';
import {
  activations,
  attendHeads,
  embedding,
  linear,
  mergeHeads,
  type Params,
  rmsNorm,
  splitHeads,
} from '../../nn/index.ts';
import type { Decoded, DecoderInputs, EncoderMemory, LayerCache } from '../contracts.ts';
import { attendCached, causalMask, countedPositions, lastOf, paddingMask, plainPositions } from '../decoder/index.ts';
import type { T5Config } from './config.ts';
import { relativeBias } from './relative-bias.ts';

const bias = false; // T5 has none anywhere

/** inputIds int64 [B, T] -> [B, T, D]; encoder and decoder share the table. */
export const embedT5 = (p: Params, inputIds: Tensor, c: T5Config): Tensor =>
  embedding(p.at('shared'), inputIds, { entries: c.vocab_size, width: c.d_model });

/** x + branch(norm x): every branch of T5 is pre-norm, its norm beside it in the checkpoint. */
function residual(p: Params, x: Tensor, c: T5Config, branch: (normalised: Tensor) => Tensor): Tensor {
  const y = add(x, branch(rmsNorm(p.at('layer_norm'), x, c.layer_norm_epsilon)));
  markBlock([x], [y]);
  return y;
}

const projectHeads = (p: Params, x: Tensor, c: T5Config): Tensor =>
  splitHeads(linear(p, x, c.num_heads * c.d_kv, { bias }), c.num_heads);

const projectOut = (p: Params, y: Tensor, c: T5Config): Tensor => linear(p.at('o'), mergeHeads(y), c.d_model, { bias });

/** Keys and values of x, [B, H, N, d] each. */
const keysAndValues = (p: Params, x: Tensor, c: T5Config): LayerCache => ({
  key: projectHeads(p.at('k'), x, c),
  value: projectHeads(p.at('v'), x, c),
});

interface SelfAttention {
  /** Additive, with the relative bias: [B, H, N, past + N]. */
  mask: Tensor;
  added: LayerCache;
  cache?: LayerCache | undefined;
  config: T5Config;
}

/** T5 does not divide its scores by √d: its initialisation has the factor instead. */
function selfAttention(p: Params, x: Tensor, { mask, added, cache, config: c }: SelfAttention): Tensor {
  const q = projectHeads(p.at('q'), x, c);
  return projectOut(p, attendCached({ q, k: added.key, v: added.value, cache, mask, scale: 1 }), c);
}

function feedForward(p: Params, x: Tensor, c: T5Config): Tensor {
  const act = activations[c.dense_act_fn];
  const up = (name: string) => linear(p.at(name), x, c.d_ff, { bias });
  const inner = c.feed_forward_proj === 'gated-gelu' ? mul(act(up('wi_0')), up('wi_1')) : act(up('wi'));
  return linear(p.at('wo'), inner, c.d_model, { bias });
}

/** The encoder: inputsEmbeds [B, S, D] -> [B, S, D]. Positions count every slot, soft prompts and padding too. */
export function encodeT5(
  root: Params,
  { inputsEmbeds, attentionMask }: { inputsEmbeds: Tensor; attentionMask: Tensor },
  c: T5Config,
): Tensor {
  const p = root.at('encoder');
  const positions = plainPositions(inputsEmbeds.shape[1]!);
  const table = p.at('block', 0, 'layer', 0, 'SelfAttention', 'relative_attention_bias'); // for all layers
  const distances = relativeBias(table, { queries: positions, keys: positions, bidirectional: true, config: c });
  const mask = add(distances, paddingMask(attentionMask, inputsEmbeds.dtype));
  let x = inputsEmbeds;
  for (let i = 0; i < c.num_layers; i++) {
    const at = (n: number) => p.at('block', i, 'layer', n);
    x = residual(at(0), x, c, (y) => {
      const attention = at(0).at('SelfAttention');
      return selfAttention(attention, y, { mask, added: keysAndValues(attention, y, c), config: c });
    });
    x = residual(at(1), x, c, (y) => feedForward(at(1).at('DenseReluDense'), y, c));
  }
  return rmsNorm(p.at('final_layer_norm'), x, c.layer_norm_epsilon);
}

/** Cross-attention keys and values [B, H, S, d] of the encoder's output, by decoder layer. */
export const memoryT5 = (p: Params, encoded: Tensor, c: T5Config): LayerCache[] =>
  Array.from({ length: c.num_decoder_layers }, (_, i) =>
    keysAndValues(p.at('decoder', 'block', i, 'layer', 1, 'EncDecAttention'), encoded, c),
  );

/** The decoder's additive mask with its relative bias: [B, H, T, past + T]. */
function decoderMask(p: Params, inputs: DecoderInputs, c: T5Config): Tensor {
  const { inputsEmbeds, attentionMask, cache } = inputs;
  const length = inputsEmbeds.shape[1]!;
  // A cache has slots that are not used yet: what counts is how many positions came before.
  const keys = cache ? countedPositions(attentionMask) : plainPositions(length);
  const table = p.at('block', 0, 'layer', 0, 'SelfAttention', 'relative_attention_bias');
  const queries = inputs.positionIds ?? lastOf(keys, length);
  const distances = relativeBias(table, { queries, keys, bidirectional: false, config: c });
  return add(distances, causalMask(attentionMask, length, inputsEmbeds.dtype));
}

/** T5 (Raffel et al. 2020; v1.1 and Flan): the decoder. Of positions it reads only how far they are apart. */
export function decodeT5(root: Params, inputs: DecoderInputs & EncoderMemory, c: T5Config): Decoded {
  const p = root.at('decoder');
  const mask = decoderMask(p, inputs, c);
  const memoryMask = paddingMask(inputs.memoryMask, inputs.inputsEmbeds.dtype);
  const cache: LayerCache[] = [];
  let x = inputs.inputsEmbeds;
  for (let i = 0; i < c.num_decoder_layers; i++) {
    const at = (n: number) => p.at('block', i, 'layer', n);
    x = residual(at(0), x, c, (y) => {
      const attention = at(0).at('SelfAttention');
      const added = keysAndValues(attention, y, c);
      cache.push(added);
      return selfAttention(attention, y, { mask, added, cache: inputs.cache?.[i], config: c });
    });
    x = residual(at(1), x, c, (y) => {
      const attention = at(1).at('EncDecAttention');
      const { key: k, value: v } = inputs.memory[i]!;
      const q = projectHeads(attention.at('q'), y, c);
      return projectOut(attention, attendHeads({ q, k, v, mask: memoryMask, scale: 1 }), c);
    });
    x = residual(at(2), x, c, (y) => feedForward(at(2).at('DenseReluDense'), y, c));
  }
  return { hidden: rmsNorm(p.at('final_layer_norm'), x, c.layer_norm_epsilon), cache };
}

/** hidden [.., D] -> logits [.., V]; a head tied to the embedding table reads hidden states scaled by 1/√D. */
export function t5Head(p: Params, hidden: Tensor, c: T5Config): Tensor {
  const shape = [c.vocab_size, c.d_model];
  if (!c.tie_word_embeddings) return linearProduct(hidden, p.at('lm_head').tensor('weight', shape));
  return linearProduct(mul(hidden, c.d_model ** -0.5), p.at('shared').tensor('weight', shape));
}

/** What a caller has to know about its sizes. */
export const describeT5 = (c: T5Config) => ({
  width: c.d_model,
  vocabularySize: c.vocab_size,
  layers: c.num_decoder_layers,
  keyValueHeads: c.num_heads,
  headWidth: c.d_kv,
});
