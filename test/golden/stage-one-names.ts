import type { Value } from '../../src/core/index.ts';
import type { Fixture } from './fixtures.ts';

/** stage1/names.json. */
export interface StageOneNames {
  lavis_to_hf: Record<string, string | null>;
  config: {
    hidden_size: number;
    num_hidden_layers: number;
    num_attention_heads: number;
    intermediate_size: number;
    cross_attention_freq: number;
    encoder_width: number;
    num_query_token: number;
    embed_dim: number;
    layer_norm_eps: number;
    vocab_size: number;
    dec_token_id: number;
    hidden_act: string;
  };
}

/** The fixture's own table from LAVIS names to ours; what Hugging Face has no name for keeps its own, less the prefix. */
export function lavisStageOne({ lavis_to_hf, config: c }: StageOneNames) {
  const rename = (name: string) => lavis_to_hf[name] ?? name.replace(/^Qformer\./, '');
  return {
    toHf: (fixture: Fixture): Map<string, Value> =>
      new Map(Object.entries(fixture).map(([name, v]) => [rename(name), v])),
    config: (weights: ReadonlyMap<string, Value>) => ({
      num_query_tokens: c.num_query_token,
      image_text_hidden_size: c.embed_dim,
      qformer_config: {
        hidden_size: c.hidden_size,
        num_hidden_layers: c.num_hidden_layers,
        num_attention_heads: c.num_attention_heads,
        intermediate_size: c.intermediate_size,
        cross_attention_frequency: c.cross_attention_freq,
        encoder_hidden_size: c.encoder_width,
        layer_norm_eps: c.layer_norm_eps,
        vocab_size: c.vocab_size,
        hidden_act: c.hidden_act,
        max_position_embeddings: weights.get('embeddings.position_embeddings.weight')?.shape[0],
      },
    }),
  };
}
