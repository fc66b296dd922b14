"""transformers' BLIP-2 in fp32 on picture files: each line `caption BATCH IMAGES` is answered by a line of JSON."""
import json
import sys
import time

import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, BlipImageProcessor

settings = json.loads(sys.argv[1])
torch.set_num_threads(settings['threads'])
model = Blip2ForConditionalGeneration.from_pretrained(settings['model'], dtype=torch.float32).eval()
model.generation_config.eos_token_id = None
processor = BlipImageProcessor.from_pretrained(settings['model'])
prompt = [model.config.image_token_index] * model.config.num_query_tokens + [2, 102, 1345, 9]


@torch.inference_mode()
def caption(files):
    pictures = [Image.open(file) for file in files]
    pixels = processor(pictures, return_tensors='pt').pixel_values
    ids = torch.tensor([prompt] * len(files))
    inputs = {'pixel_values': pixels, 'input_ids': ids, 'attention_mask': torch.ones_like(ids)}
    model.generate(**inputs, max_new_tokens=20, min_new_tokens=20, do_sample=False)


for line in sys.stdin:
    batch, images = map(int, line.split()[1:])
    start = time.perf_counter()
    for i in range(0, images, batch):
        caption(settings['files'][i : min(i + batch, images)])
    print(json.dumps({'seconds': time.perf_counter() - start}), flush=True)
