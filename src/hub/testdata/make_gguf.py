"""Writes quants.safetensors, tiny-llama.gguf and tiny-llama.safetensors beside itself.

    pip install gguf==0.19.0 numpy safetensors
    python make_gguf.py [SmolLM2-135M-Instruct.Q4_1.gguf]

The oracle is the Python package `gguf`: its dequantisers, its writer, its tensor names. With a real file given, the
first blocks of two of its tensors are kept too.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

here = Path(__file__).parent
random = np.random.default_rng(7)

# Where a block's half-precision scales lie, so that random bytes do not make infinities of them.
TYPES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}  # fmt: skip


def quants(real):
    fixture = {}
    for kind, scales in TYPES.items():
        _, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (3, size), dtype=np.uint8)
        for at in scales:
            blocks[:, at : at + 2] = random.normal(0, 0.1, (3, 1)).astype(np.float16).view(np.uint8)
        fixture[f"{kind.name}.bytes"] = blocks.reshape(-1)
        fixture[f"{kind.name}.values"] = dequantize(blocks, kind).reshape(-1)
    floats = random.normal(0, 1, 32).astype(np.float32)
    for kind in (Type.F32, Type.F16, Type.BF16):
        data = quantize(floats, kind)
        fixture[f"{kind.name}.bytes"] = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
        fixture[f"{kind.name}.values"] = dequantize(data, kind).reshape(-1)
    for name in ("blk.0.attn_q.weight", "token_embd.weight") if real else ():
        tensor = next(t for t in gguf.GGUFReader(real).tensors if t.name == name)
        row = tensor.data[0]
        fixture[f"{tensor.tensor_type.name}.real.bytes"] = row.copy()
        fixture[f"{tensor.tensor_type.name}.real.values"] = dequantize(row, tensor.tensor_type)
    save_file(fixture, here / "quants.safetensors")


def interleave(weight, heads):
    """What llama.cpp's converter does to queries and keys (convert_hf_to_gguf.py, LlamaModel.permute)."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def tiny_llama():
    width, inner, heads, kv_heads, layers, head = 32, 64, 4, 2, 1, 8
    # A byte-level alphabet of letters, the space and the newline, three merges and two control tokens.
    alphabet = [*"abcdefghijklmnopqrstuvwxyz0123456789", "Ġ", "Ċ", "Ã", "©"]
    merges = [("a", "t"), ("c", "at"), ("Ġ", "cat")]
    tokens = ["<|end|>", "<|start|>", *alphabet, *(a + b for a, b in merges)]
    shapes = {
        "model.embed_tokens.weight": (len(tokens), width),
        "model.norm.weight": (width,),
        "lm_head.weight": (len(tokens), width),
    }
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes |= {
            p + "input_layernorm.weight": (width,),
            p + "self_attn.q_proj.weight": (heads * head, width),
            p + "self_attn.k_proj.weight": (kv_heads * head, width),
            p + "self_attn.v_proj.weight": (kv_heads * head, width),
            p + "self_attn.o_proj.weight": (width, heads * head),
            p + "post_attention_layernorm.weight": (width,),
            p + "mlp.gate_proj.weight": (inner, width),
            p + "mlp.up_proj.weight": (inner, width),
            p + "mlp.down_proj.weight": (width, inner),
        }
    writer = gguf.GGUFWriter(here / "tiny-llama.gguf", "llama")
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(12345.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges([f"{a} {b}" for a, b in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)

    name_map = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    expected = {}
    for name, shape in shapes.items():
        # Values that half precision and, along a row, Q8_0 hold exactly: whole numbers over 128 with the extreme one
        # in every block.
        weight = random.integers(-127, 128, shape).astype(np.float32) / 128
        weight[..., ::32] = 127 / 128
        expected[name] = weight.astype(np.float16)
        if "q_proj" in name or "k_proj" in name:
            weight = interleave(weight, heads if "q_proj" in name else kv_heads)
        kind = Type.F32 if len(shape) == 1 else Type.Q8_0 if "mlp" in name else Type.F16
        writer.add_tensor(name_map.get_name(name, try_suffixes=(".weight",)), quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, here / "tiny-llama.safetensors")


quants(sys.argv[1] if len(sys.argv) > 1 else None)
tiny_llama()
