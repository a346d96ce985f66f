"""From a text to the network's input: token ids, cut off or filled up to one length."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rl_transfer import bounded
from rl_transfer.errors import BundleError, ConfigError, MissingExtraError
from rl_transfer.spec.base import Json

MOST_TOKENIZER_BYTES = 16 * 2**20
"""A bundle holds the tokenizer; those of a quarter of a million pieces take 9 MiB."""
_SAMPLE = "Is it? The CAFÉ's  naïve 3,14 € x_y — 中文 don't\nRe-enter"
"""Case, accents, marks, spaces: what tokenizers of one vocabulary do not agree on."""


@dataclass(frozen=True)
class TokenPreprocessing:
    """What happens to a text before the network sees it.

    Attributes:
        tokenizer: ``tokenizer.json``, whole, so that a bundle needs no other file.
        pad: id that fills an input up; the network does not look there.
        max_tokens: length of an input.
    """

    tokenizer: str
    pad: int
    max_tokens: int

    @property
    def input_shape(self) -> tuple[int]:
        """Token ids."""
        return (self.max_tokens,)

    def __call__(self, text: str) -> Tensor:
        """The ids of a text, int32 [max_tokens]."""
        ids = _built(self.tokenizer, self.max_tokens).encode(text).ids
        found = torch.full((self.max_tokens,), self.pad, dtype=torch.int32)
        found[: len(ids)] = torch.tensor(ids, dtype=torch.int32)
        return found

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens texts have before anything is cut off.

        Args:
            texts: any.

        Returns:
            One number per text.
        """
        return [len(each.ids) for each in _built(self.tokenizer, None).encode_batch(list(texts))]

    def to_json(self) -> dict[str, Json]:
        """As data for a bundle."""
        return asdict(self)

    def relied_on(self) -> Mapping[str, object]:
        """Weights trained with another tokenizer saw other tokens under the same ids."""
        return {"tokenizer": hashlib.sha256(self.tokenizer.encode()).hexdigest()[:16]}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> TokenPreprocessing:
        """What :meth:`to_json` wrote.

        Args:
            data: as read from a bundle.

        Raises:
            BundleError: it is something else.
        """
        text, pad, most = (data.get(name) for name in ("tokenizer", "pad", "max_tokens"))
        if not isinstance(text, str) or type(pad) is not int or type(most) is not int or most < 1:
            raise BundleError("the bundle's preprocessing is damaged: it names no tokenizer")
        _built(text, most)
        return cls(text, pad, most)


def read_tokenizer(path: Path, fingerprint: str | None, key: str) -> str:
    """A ``tokenizer.json`` as one compact text.

    Args:
        path: the file.
        fingerprint: SHA-256 that it had when the run was planned; None: any.
        key: config path of its place, for errors.

    Returns:
        JSON that a tokenizer can be built from.

    Raises:
        RLTransferError: it is none, too large, or another one now.
    """
    try:
        content = bounded.read_bytes(path, MOST_TOKENIZER_BYTES)
        text = json.dumps(json.loads(content), ensure_ascii=False, separators=(",", ":"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}", key=key) from None
    if fingerprint is not None and hashlib.sha256(content).hexdigest() != fingerprint:
        raise ConfigError(f"{path} changed since the run was planned; plan it again", key=key)
    try:
        _built(text, None)
    except BundleError as error:
        raise BundleError(f"{path}: {error.message}", key=key) from None
    return text


def vocabulary(tokenizer: str) -> Mapping[str, int]:
    """The ids that a tokenizer gives.

    Args:
        tokenizer: as :func:`read_tokenizer` gave it.

    Returns:
        Token → id.
    """
    found: Mapping[str, int] = _built(tokenizer, None).get_vocab()
    return found


def gives_the_same(one: str, other: str) -> bool:
    """Whether two tokenizers have the same vocabulary, and treat case, accents, marks and spaces alike.

    Args:
        one: as :func:`read_tokenizer` gave it.
        other: likewise.
    """
    if one == other:
        return True
    first, second = _built(one, None), _built(other, None)
    return bool(
        first.get_vocab() == second.get_vocab() and first.encode(_SAMPLE).ids == second.encode(_SAMPLE).ids
    )


def marks_around(tokenizer: str) -> int:
    """How many tokens a text gets that are not its own.

    Args:
        tokenizer: as :func:`read_tokenizer` gave it.
    """
    return int(_built(tokenizer, None).num_special_tokens_to_add(False))


def library(name: str) -> Any:
    """Import transformers, tokenizers or scikit-learn.

    Args:
        name: of the module.

    Returns:
        The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"texts need {name}, which is not installed ({error}); install it with: pip install "
            "'rl-transfer[text]'",
            key="model",
        ) from None


@lru_cache(maxsize=16)
def _built(text: str, max_tokens: int | None) -> Any:
    tokenizers = library("tokenizers")
    try:
        found = tokenizers.Tokenizer.from_str(text)
        found.no_padding()
        if max_tokens is None:
            found.no_truncation()
        else:
            found.enable_truncation(max_tokens)
    except Exception as error:  # noqa: BLE001 - the library raises the bare class
        raise BundleError(f"this is no tokenizer: {str(error)[:200]}") from None
    return found
