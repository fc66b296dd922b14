/** The state dict's tensors that have a row for each word piece: embeddings, which the captioning head shares, and its bias. */
export const wordTable = 'embeddings.word_embeddings.weight';
export const wordBias = 'cls.predictions.bias';
