import type { ImageProcessor } from '../image/index.ts';
import type { ModelFiles } from './model-files.ts';
import { writerOf } from './onnx-graphs.ts';

/** A Python program that uses an export from its folder: `python example.py PICTURE TEXT`. */
export function onnxExample(model: ModelFiles): string {
  const writer = writerOf(model);
  const parts = [
    head,
    pixels(model.processor),
    queries(model),
    ...(writer ? [prompt(model), writer.lm.kind === 'decoder' ? decoder : encoderDecoder(writer.lm), loop] : [match]),
  ];
  const does = writer ? 'goes on from TEXT' : 'prints the cosine of PICTURE and TEXT';
  const simple = model.processor.resize && 'width' in model.processor.resize && !model.processor.fit;
  const pictures = simple ? '' : ' The pictures of this model are cropped or fitted, which the program leaves out.';
  return `\`python example.py PICTURE TEXT\` ${does}.${pictures}\n\n\`\`\`python\n${parts.join('\n')}\`\`\``;
}

const head = `import sys

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

picture, text = sys.argv[1:]
graphs = {}


def run(name, **inputs):
    """The outputs of a graph by name."""
    if name not in graphs:
        graphs[name] = onnxruntime.InferenceSession(f"{name}.onnx")
    graph = graphs[name]
    return dict(zip([output.name for output in graph.get_outputs()], graph.run(None, inputs)))

`;

const triple = (numbers: readonly number[]): string => `[${numbers.join(', ')}]`;

const pixels = ({ size, resample, rescaleFactor, mean, std }: ImageProcessor): string =>
  `image = Image.open(picture).convert("RGB").resize((${size.width}, ${size.height}), Image.${resample.toUpperCase()})
pixels = (np.asarray(image, np.float32) * ${rescaleFactor} - ${triple(mean)}) / ${triple(std)}
pixel_values = pixels.transpose(2, 0, 1)[None].astype(np.float32)
image_embeds = run("vision_model", pixel_values=pixel_values)["image_embeds"]
`;

function queries({ instructed }: ModelFiles): string {
  if (!instructed) return 'seen = run("qformer", image_embeds=image_embeds)\n';
  return `instruction = np.array([Tokenizer.from_file("qformer_tokenizer/tokenizer.json").encode(text).ids])
seen = run(
    "qformer",
    image_embeds=image_embeds,
    qformer_input_ids=instruction,
    qformer_attention_mask=np.ones_like(instruction),
)
`;
}

/** The ids of the text, those that end an answer, and what stands before the text: soft prompts, or a past. */
function prompt({ language, tokenizer }: ModelFiles): string {
  if (language) {
    return `tokenizer = Tokenizer.from_file("tokenizer.json")
ids, ends = np.array([tokenizer.encode(text).ids or [${language.startToken}]]), ${triple(language.endTokens)}
embeds = run("embed_tokens", input_ids=ids)["inputs_embeds"]
embeds = np.concatenate([seen["language_projection"], embeds], 1)
past_length, start = 0, {}
`;
  }
  return `tokenizer = Tokenizer.from_file("tokenizer.json")
ids = np.array([[${tokenizer!.require('bos')}] + tokenizer.encode(text, add_special_tokens=False).ids])
ends = [${tokenizer!.require('sep')}]
embeds = run("embed_tokens", input_ids=ids)["inputs_embeds"]
# The queries' keys and values are the beginning of the past.
start = {name.replace("present", "past_key_values"): seen[name] for name in seen if name.startswith("present")}
past_length = seen["queries"].shape[1]
`;
}

const decoder = `

def step(inputs, past, length):
    mask = np.ones([1, length], np.int64)
    return run("decoder_model_merged", inputs_embeds=inputs, attention_mask=mask, **past)


def embed(token):
    return run("embed_tokens", input_ids=np.array([[token]]))["inputs_embeds"]


inputs = embeds
`;

const encoderDecoder = ({ decoderStart }: { readonly decoderStart: number }): string => `
mask = np.ones(embeds.shape[:2], np.int64)
encoded = run("encoder_model", inputs_embeds=embeds, attention_mask=mask)
start = {name.replace("present", "past_key_values"): encoded[name] for name in encoded if "present" in name}


def step(inputs, past, length):
    return run("decoder_model_merged", input_ids=inputs, encoder_attention_mask=mask, **past)


def embed(token):
    return np.array([[token]])


inputs = embed(${decoderStart})
`;

const loop = `
graphs["decoder_model_merged"] = onnxruntime.InferenceSession("decoder_model_merged.onnx")
past = {
    i.name: np.zeros([1, i.shape[1], 0, i.shape[3]], np.float32)
    for i in graphs["decoder_model_merged"].get_inputs()
    if i.name.startswith("past_key_values")
} | start
written, length = [], past_length
while len(written) < 30:
    length += inputs.shape[1]
    outputs = step(inputs, past, length)
    past |= {name.replace("present", "past_key_values"): outputs[name] for name in outputs if name != "logits"}
    token = int(outputs["logits"][0, -1].argmax())
    if token in ends:
        break
    written.append(token)
    inputs = embed(token)
print(tokenizer.decode(written).strip())
`;

const match = `ids = np.array([Tokenizer.from_file("tokenizer.json").encode(text).ids])
texts = run("text_model", input_ids=ids, attention_mask=np.ones_like(ids))["text_embeds_proj"][:, 0]
print((seen["image_embeds_proj"] @ texts[0]).max())
`;
