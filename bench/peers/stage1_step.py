"""A stage-1 training step as the reference computes it, in PyTorch: four passes of the Q-Former (the queries on the
image, whose keys and values serve the caption that is written; the text for ITC; 3B pairs for ITM; the text for ITG),
backward, fused AdamW. Parameters have the names of a Hugging Face checkpoint.

The settings are a JSON object on the command line. Then each line on stdin is answered by a JSON object on stdout:
`step` by the seconds and the loss of one step, `memory` by the peak of resident memory.
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

LABEL_SMOOTHING = 0.1


def container(**modules):
    return nn.ModuleDict(modules)


class Attention(nn.Module):
    def __init__(self, s, memory_width):
        super().__init__()
        width = s['hidden_size']
        self.heads = s['num_attention_heads']
        self.attention = container(
            query=nn.Linear(width, width), key=nn.Linear(memory_width, width), value=nn.Linear(memory_width, width)
        )
        self.output = container(dense=nn.Linear(width, width), LayerNorm=nn.LayerNorm(width, s['layer_norm_eps']))

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, memory, mask=None, past=None):
        q, k, v = (self.split(self.attention[n](y)) for n, y in (('query', x), ('key', memory), ('value', memory)))
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        return self.output['LayerNorm'](x + self.output['dense'](y)), (k, v)


class Layer(nn.Module):
    def __init__(self, s, index):
        super().__init__()
        width, inner = s['hidden_size'], s['intermediate_size']
        self.attention = Attention(s, width)
        if index % s['cross_attention_frequency'] == 0:
            self.crossattention = Attention(s, s['encoder_hidden_size'])
        for suffix in ('', '_query'):
            up = container(dense=nn.Linear(width, inner))
            down = container(dense=nn.Linear(inner, width), LayerNorm=nn.LayerNorm(width, s['layer_norm_eps']))
            self.add_module(f'intermediate{suffix}', up)
            self.add_module(f'output{suffix}', down)

    def feed_forward(self, x, suffix):
        up, down = getattr(self, f'intermediate{suffix}'), getattr(self, f'output{suffix}')
        return down['LayerNorm'](x + down['dense'](F.gelu(up['dense'](x))))

    def forward(self, x, queries, image, mask, past):
        x, cache = self.attention(x, x, mask, past)
        if queries == 0:
            return self.feed_forward(x, ''), cache
        q, text = x[:, :queries], x[:, queries:]
        if hasattr(self, 'crossattention'):
            q, _ = self.crossattention(q, image)
        q = self.feed_forward(q, '_query')
        return (torch.cat([q, self.feed_forward(text, '')], 1) if text.shape[1] else q), cache


class StageOne(nn.Module):
    def __init__(self, s):
        super().__init__()
        width, vocabulary, shared = s['hidden_size'], s['vocab_size'], s['image_text_hidden_size']
        self.queries = s['num_query_tokens']
        self.query_tokens = nn.Parameter(0.02 * torch.randn(1, self.queries, width))
        self.temp = nn.Parameter(torch.tensor(0.07))
        self.qformer = container(
            layernorm=nn.LayerNorm(width, s['layer_norm_eps']),
            encoder=container(layer=nn.ModuleList(Layer(s, i) for i in range(s['num_hidden_layers']))),
        )
        self.embeddings = container(
            word_embeddings=nn.Embedding(vocabulary, width),
            position_embeddings=nn.Embedding(s['max_position_embeddings'], width),
        )
        nn.init.normal_(self.embeddings['word_embeddings'].weight, std=0.02)
        self.vision_projection = nn.Linear(width, shared)
        self.text_projection = nn.Linear(width, shared)
        self.itm_head = nn.Linear(width, 2)
        transform = container(dense=nn.Linear(width, width), LayerNorm=nn.LayerNorm(width, s['layer_norm_eps']))
        self.cls = container(predictions=Predictions(transform, self.embeddings['word_embeddings'].weight))

    def embed(self, ids):
        positions = self.embeddings['position_embeddings'].weight[: ids.shape[1]]
        return self.qformer['layernorm'](self.embeddings['word_embeddings'](ids) + positions)

    def encode(self, x, queries=0, image=None, mask=None, past=None):
        caches = []
        for i, layer in enumerate(self.qformer['encoder']['layer']):
            x, cache = layer(x, queries, image, mask, None if past is None else past[i])
            caches.append(cache)
        return x, caches

    def forward(self, image, ids, decoder_start):
        batch, length = ids.shape
        queries = self.qformer['layernorm'](self.query_tokens)
        text = self.embed(ids)

        # ITC
        seen, past = self.encode(queries.expand(batch, -1, -1), self.queries, image)
        z_image = F.normalize(self.vision_projection(seen), dim=-1)
        z_text = F.normalize(self.text_projection(self.encode(text)[0][:, 0]), dim=-1)
        s = torch.einsum('iqe,je->ijq', z_image.float(), z_text.float()).amax(-1) / self.temp
        own = torch.arange(batch)
        itc = (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2

        # ITM: the hardest negatives, so that a step can be compared
        others = s.detach() - 10_000 * torch.eye(batch)
        negative_image, negative_text = others.T.argmax(1), others.argmax(1)
        pairs = torch.cat([text, text, text[negative_text]])
        images = torch.cat([image, image[negative_image], image])
        seen, _ = self.encode(torch.cat([queries.expand(3 * batch, -1, -1), pairs], 1), self.queries, images)
        match = torch.arange(3 * batch) < batch
        itm = F.cross_entropy(self.itm_head(seen[:, : self.queries]).mean(1).float(), match.long())

        # ITG
        written = torch.cat([torch.full((batch, 1), decoder_start), ids[:, 1:]], 1)
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        visible = torch.cat([torch.ones(length, self.queries, dtype=torch.bool), causal], 1)
        text, _ = self.encode(self.embed(written), mask=visible, past=past)
        logits = self.cls['predictions'](text)[:, :-1]
        itg = cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        return itc + itm + itg


class Predictions(nn.Module):
    def __init__(self, transform, words):
        super().__init__()
        self.transform = transform
        self.words = [words]  # tied: not a parameter of this module
        self.bias = nn.Parameter(torch.zeros(words.shape[0]))

    def forward(self, x):
        x = self.transform['LayerNorm'](F.gelu(self.transform['dense'](x)))
        return F.linear(x, self.words[0], self.bias)


def cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)


def main():
    s = json.loads(sys.argv[1])
    torch.set_num_threads(s['threads'])
    torch.manual_seed(0)
    model = StageOne(s)
    if 'state' in s:
        state = load_file(s['state'])
        image, ids = state.pop('in.image_embeds'), state.pop('in.input_ids')
        model.load_state_dict(state)
    else:
        image = torch.randn(s['batch'], s['patches'], s['encoder_hidden_size'])
        ids = torch.randint(0, s['vocab_size'] - 1, (s['batch'], s['tokens']))
    decayed = [p for n, p in model.named_parameters() if p.ndim != 1 and not n.endswith('bias')]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or n.endswith('bias')]
    groups = [{'params': decayed, 'weight_decay': 0.05}, {'params': others, 'weight_decay': 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=s['lr'], betas=(0.9, 0.98), eps=1e-8, fused=True)

    def step():
        start = time.perf_counter()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=s['precision'] == 'bf16'):
            loss = model(image, ids, s['vocab_size'] - 1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return {'loss': loss.item(), 'seconds': time.perf_counter() - start}

    def memory():
        return {'gigabytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}

    for line in sys.stdin:
        print(json.dumps({'step': step, 'memory': memory}[line.strip()]()), flush=True)


main()
