"""The text room: what texts add to runs on labelled data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from rl_transfer.errors import MissingExtraError
from rl_transfer.frame import Room
from rl_transfer.results.published import PlainLoading
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.supervised import PretrainedWeights, SupervisedRun, SupervisedSuite
from rl_transfer.spec.text import TextData, TextRun, TextWeights, TransformerConfig
from rl_transfer.supervised.classifier import Classifier, GraphInput, Network, Preprocessing
from rl_transfer.supervised.data import LabelledSet, OpenedData
from rl_transfer.supervised.figures import confusion_matrix, save_png
from rl_transfer.supervised.kind import DataKind, InputNotes, ReferenceModel, narrowed
from rl_transfer.supervised.predictions import Predictions
from rl_transfer.supervised.room import SupervisedRoom
from rl_transfer.supervised.splits import Splits
from rl_transfer.text.data import open_texts
from rl_transfer.text.encoders import build_classifier, load_pretrained
from rl_transfer.text.pictures import most_wrong
from rl_transfer.text.tokens import TokenPreprocessing, library, vocabulary

PLAIN = (
    "import json",
    "from pathlib import Path",
    "",
    "from safetensors.torch import load_file",
    "from tokenizers import Tokenizer",
    "from transformers import AutoConfig, AutoModel",
    "",
    'described = json.loads(Path("bundle.json").read_text())["metadata"]',
    'tensors = load_file("tensors.safetensors")',
    'architecture = dict(described["model"]["architecture"])',
    'config = AutoConfig.for_model(architecture.pop("model_type"), **architecture)',
    "encoder = AutoModel.from_config(config)",
    "encoder.pooler = None",
    'inner = {name[8:]: each for name, each in tensors.items() if name.startswith("encoder.")}',
    "encoder.load_state_dict(inner)",
    'tokenizer = Tokenizer.from_str(described["preprocessing"]["tokenizer"])',
    'weight, bias = tensors["head.weight"], tensors["head.bias"]',
)
"""How transformers alone loads the encoder of a bundle."""
MOST_COUNTED = 50_000
"""Texts to learn from beyond which word counts would take longer than the run."""


class TextKind(DataKind):
    """Texts, classified by transformer encoders under a linear head."""

    name = "text"
    items = "texts"
    classifier = "a text classifier"
    run_type = TextRun
    libraries = ("transformers", "tokenizers", "scikit-learn")
    hub_task = "text-classification"

    def read_data(self, data: LabelledData, key: str) -> OpenedData:
        """The texts of a table or folder.

        Args:
            data: of :class:`rl_transfer.spec.text.TextData`.
            key: config path of it, for errors.
        """
        return open_texts(narrowed(data, TextData), key)

    def build_classifier(
        self, model: Frozen, num_classes: int, seed: int, preprocessing: Preprocessing | None = None
    ) -> Classifier:
        """An encoder without pretrained weights, its head made for ``num_classes``.

        Args:
            model: of :class:`rl_transfer.spec.text.TransformerConfig`.
            num_classes: outputs of its head, ≥ 1.
            seed: of the initialisation.
            preprocessing: of the weights that will be copied, or of a bundle; None: read from files.
        """
        tokens = None if preprocessing is None else narrowed(preprocessing, TokenPreprocessing)
        return build_classifier(narrowed(model, TransformerConfig), num_classes, seed, tokens)

    def read_preprocessing(self, data: Mapping[str, Json]) -> TokenPreprocessing:
        """The tokenizer and the length of inputs from a bundle's JSON.

        Args:
            data: as read from a bundle.
        """
        return TokenPreprocessing.from_json(data)

    def load_pretrained(self, model: Frozen, weights: PretrainedWeights) -> Network:
        """An encoder with the tensors of a ``.safetensors`` file.

        Args:
            model: the architecture.
            weights: where they lie.
        """
        return load_pretrained(narrowed(model, TransformerConfig), narrowed(weights, TextWeights))

    def describe_inputs(self, splits: Splits, preprocessing: Preprocessing) -> InputNotes:
        """The share of texts in each part that are longer than the network reads.

        Args:
            splits: of the run.
            preprocessing: of the network.
        """
        tokens = narrowed(preprocessing, TokenPreprocessing)
        parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
        shares: dict[str, Json] = {
            name: float(np.mean([n > tokens.max_tokens for n in tokens.lengths(_texts(part))]))
            for name, part in parts.items()
            if part is not None
        }
        told = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
        notes = (f"cut off at {tokens.max_tokens} tokens: {told}",) if any(shares.values()) else ()
        return InputNotes({"truncated": {"max_tokens": tokens.max_tokens, **shares}}, notes)

    def reference(self, splits: Splits) -> ReferenceModel | None:
        """Words and pairs of words, weighed by TF-IDF, under logistic regression.

        Args:
            splits: of the run.

        Returns:
            None without scikit-learn, and for more than 50,000 texts.
        """
        if len(splits.train) > MOST_COUNTED:
            return None
        try:
            counting, linear = library("sklearn.feature_extraction.text"), library("sklearn.linear_model")
        except MissingExtraError:
            return None
        vectorizer = counting.TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                words = vectorizer.fit_transform(_texts(splits.train))
            except ValueError:  # not a single word
                return None
            model = linear.LogisticRegression(C=10.0, max_iter=1_000).fit(words, splits.train.labels)
            accuracy = model.score(vectorizer.transform(_texts(splits.test)), splits.test.labels)
        return ReferenceModel("TF-IDF with logistic regression", float(accuracy))

    def graph_input(self, network: Network) -> GraphInput:
        """Token ids as the tokenizer gives them, filled up; the tokenizer stands in the file's metadata.

        Args:
            network: as its bundle describes it.
        """
        tokens = narrowed(network.classifier.preprocessing, TokenPreprocessing)
        words = sorted(vocabulary(tokens.tokenizer))

        def raw(text: object) -> NDArray[np.generic]:
            ids: NDArray[np.int32] = tokens(str(text)).numpy()
            return ids

        def drawn(generator: np.random.Generator, count: int) -> list[str]:
            lengths = generator.integers(1, tokens.max_tokens + 2, count)
            return [" ".join(generator.choice(words, length)) for length in lengths]

        told = (
            f"`tokens` is int32 [n, {tokens.max_tokens}]: the ids that the tokenizer gives (in the metadata, "
            f"`rl_transfer.preprocessing`), cut off there or filled up with {tokens.pad}."
        )
        return GraphInput("tokens", told, nn.Identity(), raw, drawn)

    def elsewhere(self, network: Network) -> PlainLoading:
        """How transformers alone loads the encoder; it knows no such head.

        Args:
            network: as its bundle describes it.
        """
        pooling = narrowed(network.model, TransformerConfig).pooling
        pooled = "the mean over the tokens" if pooling == "mean" else "the first token"
        return PlainLoading(
            f"`AutoModelForSequenceClassification` does not load this folder: the head, one linear layer on "
            f"{pooled} of the last hidden layer, is none of its own. With transformers alone, the encoder "
            "without a pooler, its tokenizer, and the weights of the head:",
            PLAIN,
        )

    def draw(
        self, test: LabelledSet, predictions: Predictions, classes: Sequence[str], folder: Path
    ) -> Mapping[str, NDArray[np.uint8]]:
        """The surest mistakes, and the confusion matrix.

        Args:
            test: the test part.
            predictions: on all of it, in its order.
            classes: names in the order of the labels.
            folder: gets ``predictions.png`` and ``confusion.png``.
        """
        found = {
            "predictions": most_wrong(test, predictions, classes),
            "confusion": confusion_matrix(predictions, classes),
        }
        for name, picture in found.items():
            save_png(picture, folder / f"{name}.png")
        return found


def _texts(items: LabelledSet) -> list[str]:
    return [str(items.load(index)) for index in range(len(items))]


TEXTS = TextKind()
"""The one instance; kinds hold no state."""

ROOM: Room[SupervisedRun, SupervisedSuite] = SupervisedRoom(TEXTS)
