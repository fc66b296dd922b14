/** A Q-Former of three layers, small enough for a test. */
import { parseBlip2Config } from '../../src/blip2/index.ts';

export const imageWidth = 6;

export const config = parseBlip2Config({
  num_query_tokens: 3,
  image_text_hidden_size: 4,
  qformer_config: {
    hidden_size: 8,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    intermediate_size: 12,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-12,
    max_position_embeddings: 16,
    cross_attention_frequency: 2,
    encoder_hidden_size: imageWidth,
    vocab_size: 20,
  },
});
