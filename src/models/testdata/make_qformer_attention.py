"""Writes qformer-attention.safetensors: a small Q-Former of transformers with random weights, and where its queries look.

    pip install torch transformers safetensors
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Blip2QFormerConfig, Blip2QFormerModel

CONFIG = dict(
    hidden_size=24,
    num_hidden_layers=4,
    num_attention_heads=3,
    intermediate_size=20,
    cross_attention_frequency=2,
    encoder_hidden_size=14,
    vocab_size=30,
    max_position_embeddings=16,
)

torch.manual_seed(0)
model = Blip2QFormerModel._from_config(Blip2QFormerConfig(**CONFIG), attn_implementation="eager").eval()
for name, parameter in model.named_parameters():
    centre = 1.0 if "orm" in name and name.endswith("weight") else 0.0
    parameter.data = centre + 0.4 * torch.randn_like(parameter)
queries, image = torch.randn(1, 5, 24), torch.randn(2, 10, 14)
with torch.no_grad():
    seen = model(queries.expand(2, -1, -1), encoder_hidden_states=image, output_attentions=True).cross_attentions

weights = {f"qformer.{name}": tensor for name, tensor in model.state_dict().items()}
case = {"in.image_embeds": image, "out.cross_attention": torch.stack(tuple(seen), 1)}  # [B, layers, H, Q, P]
save_file(
    {name: tensor.contiguous() for name, tensor in {**weights, "query_tokens": queries, **case}.items()},
    Path(__file__).with_name("qformer-attention.safetensors"),
    {"qformer_config": json.dumps(CONFIG)},
)
