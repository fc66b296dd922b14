import { CheckpointError, floats, toFloat32, type Value } from '../../core/index.ts';
import { type NameTable, toFirst } from './table.ts';

/** The Q-Former's names (Hugging Face's Blip2 retrieval model), beside those of BertModel and BertLMHeadModel. */
const text: NameTable = [
  ['embeddings.word_embeddings.weight', 'embeddings.word_embeddings.weight'],
  ['embeddings.position_embeddings.weight', 'embeddings.position_embeddings.weight'],
  ['qformer.layernorm.#', 'embeddings.LayerNorm.#'],
  ['qformer.encoder.layer.#.attention.attention.#', 'encoder.layer.#.attention.self.#'],
  ['qformer.encoder.layer.#', 'encoder.layer.#'],
  ['cls.predictions.#', 'cls.predictions.#'],
];

/** What a Q-Former has no use for: the pooler, next-sentence prediction, token types, and copies of other tensors. */
const unused =
  /^(pooler\.|cls\.seq_relationship\.|cls\.predictions\.decoder\.|embeddings\.(token_type_embeddings|position_ids))/;

const toQFormer = toFirst(text);

/**
 * A BERT-style state dict (with or without the prefix `bert.`, and with TensorFlow's old `gamma` and `beta`) as the
 * start of a Q-Former under Hugging Face's names: embeddings, self-attention and text feed-forward are BERT's, and the
 * queries' feed-forward is a copy of the text's, as LAVIS initialises it (blip2_qformer.py). Cross-attention, queries
 * and projections are new and not among them; the captioning head is, where the state dict has one.
 *
 * The Q-Former has no token types. BERT adds the first one's row to every token of a single text, so it goes into the
 * positions here, and the text side starts as BERT computes it; LAVIS drops it. Throws CheckpointError naming tensors that
 * no BERT has.
 */
export function bertToQFormer(tensors: Readonly<Record<string, Value>>): Record<string, Value> {
  const qformer: Record<string, Value> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const modern = name
      .replace(/^bert\./, '')
      .replace(/LayerNorm\.gamma$/, 'LayerNorm.weight')
      .replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
    if (unused.test(modern)) continue;
    const renamed = toQFormer(modern);
    if (renamed === undefined) throw new CheckpointError(`tensor ${name} is not one of a BERT model`);
    qformer[renamed] = tensor;
    const ofQueries = renamed.replace(/(layer\.\d+\.(?:intermediate|output))\./, '$1_query.');
    qformer[ofQueries] = tensor;
  }
  const positions = qformer[positionTable];
  const types = Object.entries(tensors).find(([name]) => name.endsWith('embeddings.token_type_embeddings.weight'))?.[1];
  if (positions && types) qformer[positionTable] = addRow(positions, types);
  return qformer;
}

const positionTable = 'embeddings.position_embeddings.weight';

/** [n, D] plus the first row of [types, D]. */
function addRow(table: Value, types: Value): Value {
  const row = toFloat32(types).subarray(0, table.shape[1]);
  return floats(
    table.shape,
    toFloat32(table).map((x, i) => x + row[i % row.length]!),
  );
}
