"""Writes small image encoders of transformers with random weights, and what they make of random images of several sizes.

They are those that the golden fixtures do not have.

    pip install torch transformers safetensors
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, SiglipVisionConfig, SiglipVisionModel

SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, patch_size=14)
MODELS = {
    "dinov2_with_registers": Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(**SIZES, mlp_ratio=2, image_size=56, num_register_tokens=3)
    ),
    "siglip_vision_model": SiglipVisionModel(SiglipVisionConfig(**SIZES, intermediate_size=24, image_size=30)),
}
# The images' own size; smaller, where positions are interpolated with or without antialiasing; larger.
CASES = {"dinov2_with_registers": [(56, 56), (28, 42), (70, 70)], "siglip_vision_model": [(30, 30), (14, 14), (47, 43)]}

here = Path(__file__).parent
cases = {}
for name, model in MODELS.items():
    torch.manual_seed(len(cases))
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn_like(parameter)
    model.eval().save_pretrained(here / name)
    for height, width in CASES[name]:
        pixels = torch.randn(1, 3, height, width)
        extra = {"interpolate_pos_encoding": True} if name.startswith("siglip") else {}
        with torch.no_grad():
            features = model(pixel_values=pixels, **extra).last_hidden_state
        cases[f"{name}/{height}x{width}/pixel_values"] = pixels
        cases[f"{name}/{height}x{width}/last_hidden_state"] = features.contiguous()
save_file(cases, here / "image-encoders.safetensors")
