"""Labelled sentences, and a tiny encoder of them made on the spot: two layers, random weights."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

GOOD = ("good", "great", "fine", "lovely", "superb", "neat")
BAD = ("bad", "poor", "awful", "dull", "broken", "weak")
THINGS = {
    "films": ("film", "actor", "plot", "scene"),
    "phones": ("phone", "screen", "battery", "cable"),
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *SPECIAL,
    "the",
    "is",
    "and",
    "very",
    *GOOD,
    *BAD,
    *(word for each in THINGS.values() for word in each),
)


def sentences(domain: str, count: int = 40, seed: int = 0) -> list[tuple[str, str]]:
    """As many different sentences of each class: two adjectives of one kind about two things."""
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    for name, adjectives in (("bad", BAD), ("good", GOOD)):
        before = len(found)
        while len(found) - before < count:
            things, words = (rng.permutation(each) for each in (THINGS[domain], adjectives))
            very = "very " if rng.random() < 0.5 else ""
            found[f"the {things[0]} is {very}{words[0]} and the {things[1]} is {words[1]}"] = name
    return list(found.items())


def save_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return path


def tokenizer(words: tuple[str, ...] = WORDS) -> Tokenizer:
    """A WordPiece tokenizer of whole words that marks beginning and end."""
    vocabulary = {word: index for index, word in enumerate(words)}
    found = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(each, vocabulary[each]) for each in ("[CLS]", "[SEP]")]
    )
    return found


def save_encoder(folder: Path, **changes: Any) -> Path:
    """A folder as the Hub has them: ``config.json``, ``tokenizer.json``, ``model.safetensors``."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 40, "initializer_range": 0.3, **changes,
    }  # fmt: skip
    config = {"model_type": "bert", "architectures": ["BertModel"], "pad_token_id": 0, **settings}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer().save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    model = BertModel(BertConfig(**settings), add_pooling_layer=False)
    save_file(dict(model.state_dict()), folder / "model.safetensors")
    return folder
