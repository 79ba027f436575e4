"""A tokenizer as google/umt5-xxl's lies, trained on a few words."""

import json
import random
import shutil
from pathlib import Path

import sentencepiece

VOCABULARY = 64
SAID = "a person speaks calmly to the camera and smiles happy sad joyful woman man"
SETTINGS = {
    "tokenizer_class": "T5Tokenizer",
    "extra_ids": 0,
    "additional_special_tokens": [],
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}


def save_tokenizer(folder: Path) -> None:
    """In place of what lies there; the numbers of its special tokens are umT5's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    draw = random.Random(0)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(" ".join(draw.choices(SAID.split(), k=8)) for _ in range(200)),
        model_prefix=str(folder / "spiece"),
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS))
