"""Transformer encoders under a linear head: built, named part by part, filled from safetensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rl_transfer import bounded
from rl_transfer.core import PartMap, PartRule, digest_model, isolated
from rl_transfer.core.digest import tensors_of
from rl_transfer.core.limits import MOST_TENSOR_BYTES, of_bearable_size
from rl_transfer.core.outline import NeedsMemoryError, without_memory
from rl_transfer.core.stored import read_header
from rl_transfer.errors import BundleError, ConfigError, TransferError
from rl_transfer.spec.base import Json
from rl_transfer.spec.labelled import file_digest
from rl_transfer.spec.text import TextWeights, TransformerConfig
from rl_transfer.supervised.classifier import Classifier, Network
from rl_transfer.text.tokens import (
    TokenPreprocessing,
    gives_the_same,
    library,
    marks_around,
    read_tokenizer,
    vocabulary,
)
from rl_transfer.wording import listing

_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_BESIDE = re.compile(r"pooler\..*|.*position_ids")
"""What files hold inside an encoder that this one lacks: a pooler, constants."""


class TextClassifier(nn.Module):
    """Token ids → logits.

    Args:
        encoder: of Hugging Face Transformers.
        pooling: ``mean`` over the tokens of the last layer, or ``cls``, its first.
        pad: id that fills inputs up.
        outputs: number of classes.
    """

    def __init__(self, encoder: nn.Module, pooling: str, pad: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(_width(encoder), outputs)
        self._pooling, self._pad = pooling, pad

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [n, classes] of token ids [n, length]; what all of a batch leave empty is not computed."""
        ids = tokens.long()
        mask = ids != self._pad
        mask[:, 0] = True
        if not torch.compiler.is_compiling():  # a graph has one length
            length = int(mask.any(dim=0).nonzero().max()) + 1
            ids, mask = ids[:, :length], mask[:, :length]
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask.long())[0]
        if self._pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = mask.to(hidden.dtype).unsqueeze(2)
            pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        logits: Tensor = self.head(pooled)
        return logits


def build_classifier(
    config: TransformerConfig, num_classes: int, seed: int, preprocessing: TokenPreprocessing | None = None
) -> Classifier:
    """An encoder without pretrained weights, its head made for ``num_classes``.

    Args:
        config: the architecture.
        num_classes: outputs of the head.
        seed: of the initialisation.
        preprocessing: of the weights that will be copied, or of a bundle; None: read from the files.

    Returns:
        The network on the CPU.

    Raises:
        RLTransferError: files are missing, tokenizer and encoder do not belong together, or the
            architecture cannot be built.
    """
    config = config.found()
    architecture = config.architecture or {}
    family = architecture.get("model_type")
    if not isinstance(family, str):
        raise ConfigError(
            f"the architecture names no model_type (bert, roberta, …), got {family!r}",
            key="model.architecture",
        )
    if config.pooling == "cls" and _is_one_way(architecture.get("model_type")):
        raise ConfigError(
            f"a {architecture['model_type']} reads from left to right, so that its first token knows nothing "
            "of the text; say pooling: mean",
            key="model.pooling",
        )
    tokens = preprocessing or _read_tokens(config, architecture)
    _refuse_foreign(tokens, architecture)
    with isolated(seed):
        module = TextClassifier(_encoder(architecture), config.pooling, tokens.pad, num_classes)
    _refuse_length(module.encoder, tokens)
    return Classifier(module, tokens, ("head",), num_classes, text_parts)


def load_pretrained(config: TransformerConfig, weights: TextWeights) -> Network:
    """An encoder with pretrained weights, whole and strictly, under a head that was never trained.

    Args:
        config: the architecture.
        weights: where its tensors lie.

    Returns:
        The network in evaluation mode.

    Raises:
        RLTransferError: the file is missing, has another hash, or does not fit.
    """
    classifier = build_classifier(config, 1, seed=0)
    path, key = weights.path(), "weights.file"
    _refuse_another(path.parent / "tokenizer.json", config.tokenizer_file())
    try:
        bounded.regular_size(path, MOST_TENSOR_BYTES)
        read_header(path)
        sha256 = file_digest(path)
        if sha256 is None or not sha256.startswith(weights.sha256 or ""):
            raise BundleError(
                f"{path} is not the file that the config promises: its SHA-256 begins with "
                f"{str(sha256)[:16]}, expected {weights.sha256}. Fetch it again, or correct weights.sha256",
                key="weights.sha256",
            )
        state = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read as tensors: {error}", key=key) from None
    encoder = classifier.module.get_submodule("encoder")
    encoder.load_state_dict(_fitted(encoder, state, path.name, key))
    described: dict[str, Json] = {"file": path.name, "sha256": sha256, "head": "absent"}
    return Network(
        Classifier(classifier.module.eval(), classifier.preprocessing, ("head",), 1, text_parts),
        config.found(), None, None, {"weights": described}, digest_model(classifier.module),
    )  # fmt: skip


def text_parts(module: nn.Module) -> PartMap:
    """``embeddings``, ``encoder.0`` … (one per block, from the input), ``neck`` (what follows), ``head``.

    Args:
        module: a text classifier.

    Returns:
        Every tensor in exactly one part.

    Raises:
        TransferError: the encoder keeps its blocks in no list.
    """
    blocks = next(
        (
            (path, len(each))
            for path, each in module.named_modules()
            if isinstance(each, nn.ModuleList) and any(True for _ in each.parameters())
        ),
        None,
    )
    if blocks is None:
        raise TransferError(
            f"{type(module.get_submodule('encoder')).__name__} has no list of blocks; it is no transformer "
            "encoder whose parts could be named",
            key="model.encoder",
        )
    path, count = blocks
    names = [name for name in tensors_of(module) if not name.startswith(("head.", f"{path}."))]
    order = list(tensors_of(module))
    first = min(order.index(name) for name in order if name.startswith(f"{path}."))
    before = tuple(name for name in names if order.index(name) < first)
    rules = {"embeddings": PartRule(before, "trunk")}
    rules |= {f"encoder.{i}": PartRule((f"{path}.{i}",), "trunk") for i in range(count)}
    rules["neck"] = PartRule(tuple(name for name in names if name not in before), "trunk")
    rules["head"] = PartRule(("head",), "head")
    return PartMap.build(module, rules)


def _width(encoder: nn.Module) -> int:
    config: Any = encoder.config
    return int(config.hidden_size)


def _is_one_way(kind: object) -> bool:
    """Whether a family of transformers' was made to foretell the next token, and for nothing else."""
    families = library("transformers.models.auto.modeling_auto")
    one_way, both = families.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, families.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return kind in one_way and kind not in both


def _encoder(architecture: Mapping[str, Any]) -> nn.Module:
    """The bare encoder, from torch's global generator; no code but the installed library's runs."""
    transformers = library("transformers")
    name = architecture.get("model_type")
    try:
        arguments = {
            key: value for key, value in architecture.items() if key not in ("model_type", "auto_map")
        }
        config = transformers.AutoConfig.for_model(name, **arguments)
        if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
            raise ValueError("it is no encoder alone")
        with suppress(NeedsMemoryError), isolated(0), without_memory(), of_bearable_size():
            _built(transformers, config)
        with of_bearable_size():
            module = _built(transformers, config)
        _width(module)
        if not {"input_ids", "attention_mask"} <= set(signature(module.forward).parameters):
            raise ValueError("it reads no tokens")
    except Exception as error:  # noqa: BLE001 - what a library makes of arguments that nobody foresaw
        raise ConfigError(
            f"the architecture {name!r} cannot be built by transformers {transformers.__version__}: "
            f"{' '.join(str(error).split())[:300] or type(error).__name__}",
            key="model.architecture",
        ) from None
    return module.float()


def _built(transformers: Any, config: Any) -> nn.Module:
    """Without a pooler, which nothing here looks at; not every architecture can be asked to leave it out."""
    try:
        module: nn.Module = transformers.AutoModel.from_config(config, add_pooling_layer=False)
    except TypeError:
        module = transformers.AutoModel.from_config(config)
        if getattr(module, "pooler", None) is not None:
            module.pooler = None  # type: ignore[assignment]
    return module


def _read_tokens(config: TransformerConfig, architecture: Mapping[str, Any]) -> TokenPreprocessing:
    key = "model.input.tokenizer" if config.input.tokenizer else "model.encoder"
    text = read_tokenizer(config.tokenizer_file(), config.fingerprint, key)
    pad = architecture.get("pad_token_id")
    if pad is None:  # config.json leaves out what is the architecture's default
        pad = library("transformers").AutoConfig.for_model(architecture.get("model_type")).pad_token_id
    if type(pad) is not int:
        raise ConfigError(
            "the encoder names no pad_token_id, so that texts of different lengths cannot share a batch; "
            "give it under model.architecture",
            key="model.architecture",
        )
    return TokenPreprocessing(text, pad, config.input.max_tokens)


def _refuse_foreign(tokens: TokenPreprocessing, architecture: Mapping[str, Any]) -> None:
    """Refuse a tokenizer that is not the encoder's, as far as ids tell."""
    ids = vocabulary(tokens.tokenizer)
    size = architecture.get("vocab_size")
    most = max(ids.values(), default=-1)
    pads = [token for token, number in ids.items() if number == tokens.pad]
    foreign = isinstance(size, int) and most >= size
    if foreign or not pads or "pad" not in pads[0].lower():
        says = f"gives ids up to {most}, the encoder has {size}" if foreign else (
            f"has {pads[0]!r} at {tokens.pad}, where the encoder fills up" if pads
            else f"has nothing at {tokens.pad}, where the encoder fills up"
        )  # fmt: skip
        raise ConfigError(
            f"the tokenizer is not the encoder's: it {says}. Give the one that the encoder was trained with",
            key="model.input.tokenizer",
        )


def _refuse_another(theirs: Path, ours: Path) -> None:
    """Refuse a tokenizer unlike the one beside the weights: they saw other tokens under the same ids."""
    if not theirs.is_file() or theirs.samefile(ours):
        return
    key = "model.input.tokenizer"
    if not gives_the_same(*(read_tokenizer(each, None, key) for each in (theirs, ours))):
        raise ConfigError(
            f"{ours} gives other tokens than {theirs}, which lies beside the weights; give the tokenizer "
            "that they were trained with",
            key=key,
        )


def _refuse_length(encoder: nn.Module, tokens: TokenPreprocessing) -> None:
    """Refuse inputs without room for a text, or with more tokens than the encoder has positions."""
    marks = marks_around(tokens.tokenizer)
    if tokens.max_tokens <= marks:
        raise ConfigError(
            f"input.max_tokens is {tokens.max_tokens}, and the tokenizer adds {marks} to every text, so that "
            f"nothing of it would be read; give more than {marks}",
            key="model.input.max_tokens",
        )
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] == "position_embeddings":
            spared = 0 if module.padding_idx is None else module.padding_idx + 1
            if tokens.max_tokens > module.num_embeddings - spared:
                raise ConfigError(
                    f"input.max_tokens is {tokens.max_tokens}, but the encoder has "
                    f"{module.num_embeddings - spared} positions; give at most that",
                    key="model.input.max_tokens",
                )


def _fitted(encoder: nn.Module, state: Mapping[str, Tensor], file: str, key: str) -> dict[str, Tensor]:
    """The file's tensors under the encoder's names; heads of other tasks are left out."""
    prefix = f"{getattr(encoder, 'base_model_prefix', '')}."
    inside = [name for name in state if name.startswith(prefix)] or [*state]
    named = {_renamed(name, prefix): state[name] for name in inside}
    own = encoder.state_dict()
    lacking = [name for name in own if name not in named]
    odd = [
        f"{name} {tuple(named[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in named and named[name].shape != own[name].shape
    ]
    whole = [
        name for name in own
        if name in named and own[name].is_floating_point() and not named[name].is_floating_point()
    ]  # fmt: skip
    beyond = [name for name in named if name not in own and not _BESIDE.fullmatch(name)]
    if lacking or odd or beyond or whole:
        told = (
            ("it lacks", lacking), ("shapes differ", odd), ("it has too much", beyond),
            ("it is quantised, in whole numbers", whole),
        )  # fmt: skip
        raise BundleError(
            f"{file} does not fit {type(encoder).__name__}: "
            f"{'; '.join(f'{what}: {listing(which, 3)}' for what, which in told if which)}. Give the encoder "
            "that the file was made with",
            key=key,
        )
    return {name: named[name].to(own[name].dtype) for name in own}


def _renamed(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            name = f"{name.removesuffix(old)}{new}"
    return name
