"""Writes tokenizers of the forms that Qwen2 and Llama 3 have, with few pieces, and what transformers makes of some texts.

The golden fixtures have BERT's, OPT's, T5's and the first Llama's.

    pip install transformers
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

CORPUS = [
    "a red cat sits on the mat",
    "Question: what's in the photo? Answer:",
    "DON'T 12345 dogs; it'S a café\n\nnew line",
    "日本語 テスト 🙂",
    "a photo of the two dogs running",
] * 50
TEXTS = [
    "",
    "a red cat",
    "what's in the photo? it'S 2024, don't",
    "  two   blanks \n\n x",
    "café cafe\u0301 日本語 🙂",
    "<|end_of_text|>user\nhi<|im_end|>",
]
DIGITS = {"qwen2": r"\p{N}", "llama3": r"\p{N}{1,3}"}
SPECIAL = {
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>"],
}
CONFIG = {
    "qwen2": {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer"},
    "llama3": {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|end_of_text|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    },
}

here = Path(__file__).parent
expected = {}
for name, digits in DIGITS.items():
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    bytes_ = dict(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(**bytes_)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL[name]])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if name == "llama3":
        bos = SPECIAL[name][0]
        tokenizer.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(
                    single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
                ),
            ]
        )
    folder = here / name
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {**CONFIG[name], "clean_up_tokenization_spaces": False, "model_max_length": 8192}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    loaded = AutoTokenizer.from_pretrained(folder)
    ids = [loaded(text).input_ids for text in TEXTS]
    expected[name] = {
        "special": {role: getattr(loaded, f"{role}_token_id") for role in ("bos", "eos", "pad")},
        "texts": [
            {"text": text, "ids": row, "decoded": loaded.decode(row, skip_special_tokens=True)}
            for text, row in zip(TEXTS, ids)
        ],
    }
(here / "tokenizers.json").write_text(json.dumps(expected, indent=2) + "\n")
