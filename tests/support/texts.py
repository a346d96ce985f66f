"""A tiny encoder of sentences made on the spot: two layers, random weights."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from support.sentences import BAD, GOOD, THINGS
from support.sentences import save_csv as save_csv
from support.sentences import sentences as sentences

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
NAMES = (word for each in THINGS.values() for word in each)
WORDS = (*SPECIAL, "the", "is", "and", "very", *GOOD, *BAD, *NAMES)


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
