"""Loads exported folders in transformers and says what it found and wrote: jobs on stdin, results on stdout, as JSON."""

import json
import sys

import torch
import transformers
from safetensors.torch import load_file


def load(folder):
    with open(f"{folder}/config.json") as file:
        architecture = json.load(file)["architectures"][0]
    model, info = getattr(transformers, architecture).from_pretrained(folder, output_loading_info=True)
    return model.eval(), {key: sorted(map(str, names)) for key, names in info.items()}


@torch.no_grad()
def run(job):
    torch.set_num_threads(1)
    model, info = load(job["folder"])
    processor = transformers.AutoProcessor.from_pretrained(job["folder"])
    pixels = load_file(job["pixels"])[job["tensor"]]
    rows = []
    for row, text in enumerate(job["texts"]):
        inputs = processor(images=None, text=text, return_tensors="pt")
        # Without an image, the processor leaves out the tokens that stand for it.
        tokenizer, queries = processor.tokenizer, model.config.num_query_tokens
        image = torch.full((1, queries), tokenizer.convert_tokens_to_ids("<image>"))
        inputs["input_ids"] = torch.cat([image, inputs["input_ids"]], 1)
        inputs["attention_mask"] = torch.cat([torch.ones_like(image), inputs["attention_mask"]], 1)
        inputs = {key: value for key, value in inputs.items() if key != "pixel_values"}
        inputs["pixel_values"] = pixels[row : row + 1]
        if job.get("generate"):
            written = model.generate(**inputs, **job["generate"])[0].tolist()
            prompt = 1 if model.config.text_config.is_encoder_decoder else inputs["input_ids"].shape[1]
            rows.append(written[prompt:])
        else:
            itm = model(**inputs, use_image_text_matching_head=True).logits_per_image
            itc = model(**inputs, use_image_text_matching_head=False).logits_per_image
            rows.append([itc.item(), torch.softmax(itm, 1)[0, 1].item()])
    return {"info": info, "rows": rows}


print(json.dumps([run(job) for job in json.load(sys.stdin)]))
