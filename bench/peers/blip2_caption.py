"""transformers' BLIP-2 on the folder that ours reads: answers one line of JSON for each line it reads."""
import json
import resource
import sys
import time

import torch
from transformers import Blip2ForConditionalGeneration

settings = json.loads(sys.argv[1])
torch.set_num_threads(settings['threads'])
dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16}[settings['precision']]
model = Blip2ForConditionalGeneration.from_pretrained(settings['model'], dtype=dtype).eval()
model.generation_config.eos_token_id = None
image_token = model.config.image_token_index


def pictures(n):
    return torch.randn(n, 3, 224, 224, dtype=dtype)


def timed(run):
    start = time.perf_counter()
    with torch.inference_mode():
        run()
    return {'seconds': time.perf_counter() - start}


def caption(n=1, tokens=20, beams=1):
    ids = torch.tensor([[image_token] * 32 + [2, 102, 1345, 9]] * n)
    pixels = pictures(n)
    length = {'max_new_tokens': tokens, 'min_new_tokens': tokens}
    inputs = {'pixel_values': pixels, 'input_ids': ids, 'attention_mask': torch.ones_like(ids)}
    return timed(lambda: model.generate(**inputs, **length, num_beams=beams, do_sample=False))


def vision():
    pixels = pictures(1)
    return timed(lambda: model.vision_model(pixels))


def memory():
    return {'gigabytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


answers = {'caption': caption, 'vision': vision, 'memory': memory}
for line in sys.stdin:
    command, *numbers = line.split()
    print(json.dumps(answers[command](*map(int, numbers))), flush=True)
