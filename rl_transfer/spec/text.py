"""Runs on texts as data: labelled texts, encoders, and what these narrow of every supervised run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from rl_transfer import bounded
from rl_transfer.errors import BundleError, ConfigError, RLTransferError
from rl_transfer.spec.addresses import model_file, resolve_file
from rl_transfer.spec.base import Frozen, JsonValue, Name, PositiveInt, at_most, numbers_at_most
from rl_transfer.spec.labelled import LabelledData, file_digest
from rl_transfer.spec.shorthand import FromText, tag_of
from rl_transfer.spec.supervised import (
    ModelConfig,
    PretrainedWeights,
    SupervisedRun,
    SupervisedSource,
    SupervisedSuite,
    SupervisedTarget,
    SupervisedTrainConfig,
    SupervisedTransferConfig,
)
from rl_transfer.spec.text_files import find_texts

MOST_CONFIG_BYTES = 2**20
_NOT_THE_NETWORK = ("_name_or_path", "architectures", "transformers_version", "torch_dtype", "dtype")


class TextData(LabelledData):
    """A table of labelled texts, or a folder with one sub-folder of ``.txt`` files per class.

    A table is a ``.csv``, ``.tsv``, ``.jsonl`` or ``.json`` file (one array), or a folder with ``train.csv``
    and ``test.csv`` (any of the four). What ``save_to_disk`` of Hugging Face's `datasets` wrote is read
    too, and Parquet files as the Hub stores them. Texts that stand there twice are used once.
    """

    name: Literal["texts"]
    path: str
    """The table or the folder."""
    text: str = "text"
    """Column of a table that holds the texts."""
    label: str = "label"
    """Column of a table that holds the classes."""
    names: dict[str, str] | None = None
    """Label as it stands there → name of the class (``"0": negative``)."""
    encoding: str = "utf-8"
    """Of the files, as Python calls it."""
    skip_incomplete: bool = False
    """Leave out items without text or label (the log counts them) instead of refusing them."""
    split: str | None = None
    """Part to learn from, of data that have several; none: ``train``, or the only one."""
    test_split: str | None = None
    """Part to measure on; none: ``test`` or ``validation``, else a share of each class is held out."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later, at its default: ids from before it stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        for name in ("split", "test_split"):
            if getattr(self, name) is None:
                data.pop(name, None)
        return data

    @property
    def parts(self) -> tuple[str | None, str | None]:
        """Names of the part to learn from and of the one to measure on, where they are given."""
        return self.split, self.test_split

    @property
    def files(self) -> Path:
        """The file or folder."""
        return Path(self.path).expanduser()

    def read_files(self) -> Iterable[Path]:
        """What is read of a folder; nothing where it cannot be, which opening it explains."""
        try:
            return find_texts(self.files, wanted=self.parts).paths
        except ConfigError:
            return ()


def _texts(path: str) -> TextData:
    return TextData(name="texts", path=path)


Data = Annotated[
    Annotated[TextData, Tag("texts")] | Annotated[TextData, FromText(_texts), Tag("text")],
    Discriminator(tag_of),
]
"""Labelled texts; a plain text is their path."""


class TokenInput(Frozen):
    """How a text becomes tokens."""

    tokenizer: str | None = None
    """Where ``tokenizer.json`` lies, if not with the encoder; an address as ``encoder`` is."""
    max_tokens: Annotated[PositiveInt, at_most(65_536, "the tokens of a batch are in memory")] = 128
    """Tokens of a text that are read, marks of beginning and end included; the rest is cut off."""


class TransformerConfig(ModelConfig):
    """An encoder of Hugging Face Transformers under a linear head."""

    name: Literal["transformer"]
    encoder: str | None = None
    """Where ``config.json`` and ``tokenizer.json`` lie: a folder, ``package://…`` or a Hugging Face name."""
    architecture: Annotated[
        dict[str, JsonValue] | None, numbers_at_most(10**12, "no network is so large")
    ] = None
    """What ``config.json`` says, with ``model_type``; filled in from the encoder when a run is planned."""
    pooling: Literal["mean", "cls"] = "mean"
    """What of the last layer enters the head: the mean over the tokens, or the first one."""
    input: TokenInput = TokenInput()
    fingerprint: str | None = None
    """SHA-256 of ``tokenizer.json``; filled in when a run is planned."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.encoder is None and (self.architecture is None or self.tokenizer is None):
            raise ValueError(
                "a transformer needs an encoder (a folder, package://… or a Hugging Face name), or an "
                "architecture with model_type and an input.tokenizer"
            )
        return self

    @property
    def tokenizer(self) -> str | None:
        """Address of the folder with its ``tokenizer.json``."""
        return self.input.tokenizer or self.encoder

    def planned(self) -> Self:
        """The model with what the encoder's files say of it; as it is where they are not there."""
        try:
            return self.found()
        except RLTransferError:
            return self

    def found(self) -> Self:
        """The model with what the encoder's files say of it.

        Returns:
            With architecture and fingerprint.

        Raises:
            RLTransferError: they are not there, or damaged.
        """
        changes: dict[str, object] = {}
        if self.architecture is None and self.encoder is not None:
            changes["architecture"] = _read_config(model_file(self.encoder, "config.json", "model.encoder"))
        if self.fingerprint is None and self.tokenizer is not None:
            changes["fingerprint"] = file_digest(self.tokenizer_file())
        return self.model_copy(update=changes)

    def tokenizer_file(self) -> Path:
        """Its ``tokenizer.json``.

        Returns:
            A file that exists.

        Raises:
            BundleError: it is not there.
        """
        key = "model.input.tokenizer" if self.input.tokenizer else "model.encoder"
        try:
            return model_file(self.tokenizer or "", "tokenizer.json", key)
        except BundleError as error:
            if "has no tokenizer.json" not in error.message:
                raise
            raise BundleError(
                f"{error.message}. Older models have other files; write it with "
                f"AutoTokenizer.from_pretrained({self.tokenizer!r}).save_pretrained(FOLDER) and name "
                "FOLDER as model.input.tokenizer",
                key=key,
            ) from None


def _read_config(path: Path) -> dict[str, JsonValue]:
    try:
        content = bounded.parse_json(bounded.read_bytes(path, MOST_CONFIG_BYTES))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}", key="model.encoder") from None
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise BundleError(f"{path} names no model_type; it describes no encoder", key="model.encoder")
    found: dict[str, JsonValue] = json.loads(json.dumps(content))
    return {name: value for name, value in found.items() if name not in _NOT_THE_NETWORK}


def _encoder(address: str) -> TransformerConfig:
    return TransformerConfig(name="transformer", encoder=address)


Model = Annotated[
    Annotated[TransformerConfig, Tag("transformer")]
    | Annotated[TransformerConfig, FromText(_encoder), Tag("text")],
    Discriminator(tag_of),
]
"""A text classifier; a plain text says where its encoder lies."""


class TextWeights(PretrainedWeights):
    """Pretrained weights of an encoder: a ``.safetensors`` file, or where ``model.safetensors`` lies."""

    file: str
    """A folder, a file, ``package://…`` or a Hugging Face name."""

    def planned(self) -> Self:
        """The weights with their file's hash; as they are where it is not there."""
        try:
            found = None if self.sha256 else file_digest(self.path())
        except RLTransferError:
            found = None
        return self if found is None else self.model_copy(update={"sha256": found})

    def path(self) -> Path:
        """The file.

        Returns:
            A ``.safetensors`` file that exists.

        Raises:
            BundleError: it is not there, or holds pickled weights.
        """
        key = "weights.file"
        path = resolve_file(self.file, key)
        if path.suffix == ".safetensors":
            if not path.is_file():
                raise BundleError(f"the weights file {path} does not exist; correct {key}", key=key)
            return path
        if path.is_file():
            raise BundleError(f"{path} is no .safetensors file. {_CONVERT}", key=key)
        try:
            return model_file(self.file, "model.safetensors", key)
        except BundleError as error:
            if "has no model.safetensors" not in error.message:
                raise
            raise BundleError(f"{error.message}. {_CONVERT}", key=key) from None


_CONVERT = (
    "Pickled weights (.bin, .pt, .h5) are not read, nor are those in several files: load them where you "
    "trust them and write one with model.save_pretrained(FOLDER, max_shard_size='8GB')"
)


def _weights(address: str) -> TextWeights:
    return TextWeights(file=address)


def _weights_tag(value: object) -> str:
    return "text" if isinstance(value, str) else "mapping"


Weights = Annotated[
    Annotated[TextWeights, Tag("mapping")] | Annotated[TextWeights, FromText(_weights), Tag("text")],
    Discriminator(_weights_tag),
]
"""Pretrained weights; a plain text says where they lie."""


class TextRun(SupervisedRun):
    """One run on texts."""

    kind: Literal["text"] = "text"
    data: Data | None = None
    model: Model | None = None
    weights: Weights | None = None


class TextTrainConfig(SupervisedTrainConfig):
    """``rl-transfer train`` on texts."""

    run_type: ClassVar[type[SupervisedRun]] = TextRun

    kind: Literal["text"] = "text"
    data: Data
    model: Model
    weights: Weights | None = None


class TextTransferConfig(TextTrainConfig, SupervisedTransferConfig):
    """``rl-transfer transfer`` on texts."""

    name: Name = "transfer"


class TextSource(SupervisedSource):
    """A source of a suite on texts."""

    data: Data | None = None
    weights: Weights | None = None


class TextTarget(SupervisedTarget):
    """A target of a suite on texts."""

    data: Data


class TextSuite(SupervisedSuite):
    """``rl-transfer sweep`` on texts."""

    run_type: ClassVar[type[SupervisedRun]] = TextRun

    kind: Literal["text"] = "text"
    model: Model
    sources: Mapping[Name, TextSource] = Field(min_length=1)
    targets: Mapping[Name, TextTarget] = Field(min_length=1)
