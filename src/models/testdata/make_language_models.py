"""Writes language-models.safetensors: tiny language models of transformers with random weights, and their logits.

They are the variants that the golden fixtures do not have: opt-350m's, untied and bias-free OPT, grouped queries, the
first T5 and v1.1, sequences longer than T5's largest distance, scaled rotary positions, Mistral, Qwen2 and Qwen3.

    pip install torch transformers safetensors
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

OPT = dict(vocab_size=40, hidden_size=24, ffn_dim=36, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32)
LLAMA = dict(vocab_size=40, hidden_size=24, intermediate_size=36, num_hidden_layers=2, max_position_embeddings=32)
T5 = dict(vocab_size=40, d_model=24, d_kv=6, d_ff=36, num_layers=2, num_heads=4)
VARIANTS = {
    "opt post-norm, projected": OPTConfig(**OPT, do_layer_norm_before=False, word_embed_proj_dim=16),
    "opt untied, without biases": OPTConfig(
        **OPT, tie_word_embeddings=False, enable_bias=False, activation_function="gelu"
    ),
    "llama grouped, tied": LlamaConfig(
        **LLAMA, num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True, rope_theta=100000.0
    ),
    "llama multi-query, with biases": LlamaConfig(
        **LLAMA, num_attention_heads=4, num_key_value_heads=1, attention_bias=True, rms_norm_eps=1e-5
    ),
    "t5 first": T5Config(**T5),
    "t5 v1.1": T5Config(**T5, num_decoder_layers=3, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "llama 3.1": LlamaConfig(
        **LLAMA,
        num_attention_heads=2,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 30,
        },
    ),
    "llama linear": LlamaConfig(**LLAMA, num_attention_heads=4, rope_scaling={"rope_type": "linear", "factor": 2.0}),
    "mistral": MistralConfig(**LLAMA, num_attention_heads=6, num_key_value_heads=2, head_dim=6),
    "qwen2": Qwen2Config(**LLAMA, num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=8),
}
FAMILIES = {
    "opt": OPTForCausalLM,
    "llama": LlamaForCausalLM,
    "t5": T5ForConditionalGeneration,
    "mistral": MistralForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen3": Qwen3ForCausalLM,
}


def randomise(model):
    for name, parameter in model.named_parameters():
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = centre + 0.2 * torch.randn_like(parameter)


def owned(model):
    """The state dict without the second names of shared tensors, as checkpoints are saved."""
    seen = set()
    state = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            state[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    return state


tensors, configs = {}, {}
for variant, config in VARIANTS.items():
    torch.manual_seed(len(tensors))
    model = FAMILIES[config.model_type](config).eval()
    randomise(model)
    if config.model_type != "t5":
        inputs = {"input_ids": torch.randint(4, 40, (2, 11)), "attention_mask": torch.ones(2, 11, dtype=torch.long)}
        inputs["attention_mask"][1, :3] = 0
    else:
        inputs = {"input_ids": torch.randint(4, 40, (2, 150)), "attention_mask": torch.ones(2, 150, dtype=torch.long)}
        inputs["attention_mask"][1, 140:] = 0
        inputs["decoder_input_ids"] = torch.cat([torch.zeros(2, 1), torch.randint(4, 40, (2, 139))], 1).long()
    with torch.no_grad():
        logits = model(**inputs).logits
    for name, tensor in {**owned(model), **inputs, "logits": logits}.items():
        kind = "weights" if name in model.state_dict() else "case"
        tensors[f"{variant}/{kind}/{name}"] = tensor.contiguous()
    configs[variant] = json.loads(config.to_json_string(use_diff=False))

here = Path(__file__).parent
save_file(tensors, here / "language-models.safetensors")
keep = {key for kwargs in (OPT, LLAMA, T5) for key in kwargs} | {
    *("model_type", "do_layer_norm_before", "word_embed_proj_dim", "tie_word_embeddings", "enable_bias", "rms_norm_eps"),
    *("activation_function", "num_key_value_heads", "num_attention_heads", "rope_theta", "attention_bias"),
    *("num_decoder_layers", "feed_forward_proj", "rope_scaling", "head_dim"),
}
slim = {variant: {k: v for k, v in c.items() if k in keep} for variant, c in configs.items()}
(here / "language-models.json").write_text(json.dumps(slim, indent=2) + "\n")
