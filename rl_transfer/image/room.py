"""The image room: what pictures add to runs on labelled data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl_transfer.core import digest_model
from rl_transfer.frame import Room
from rl_transfer.image.backbones import build_classifier, classifier_of
from rl_transfer.image.data.augment import RandomChanges, augmented
from rl_transfer.image.data.sets import open_images
from rl_transfer.image.keras_network import build_classifier as build_keras_classifier
from rl_transfer.image.keras_network import load_pretrained as load_pretrained_keras
from rl_transfer.image.pictures import prediction_grid
from rl_transfer.image.pixels import pixel_input
from rl_transfer.image.plain import plain_loading
from rl_transfer.image.preprocessing import ImagePreprocessing
from rl_transfer.image.weights import load_pretrained
from rl_transfer.results.published import PlainLoading
from rl_transfer.results.versions import PICTURES
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.spec.image import ImageRun
from rl_transfer.spec.image_model import (
    Backbone,
    ImageTraining,
    KerasConfig,
    WeightsConfig,
    named_model,
    named_weights,
)
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.optimization import SupervisedTraining
from rl_transfer.spec.supervised import PretrainedWeights, SupervisedRun, SupervisedSuite
from rl_transfer.supervised.classifier import Augmentation, Classifier, GraphInput, Network, Preprocessing
from rl_transfer.supervised.data import LabelledSet, OpenedData
from rl_transfer.supervised.figures import confusion_matrix, save_png
from rl_transfer.supervised.kind import DataKind, narrowed
from rl_transfer.supervised.predictions import Predictions
from rl_transfer.supervised.room import SupervisedRoom


class ImageKind(DataKind):
    """Pictures, classified by our small ResNet, torchvision's, timm's and Keras's networks."""

    name = "image"
    items = "images"
    classifier = "an image classifier"
    run_type = ImageRun
    libraries = (*PICTURES, "keras")
    hub_task = "image-classification"

    def read_data(self, data: LabelledData, key: str) -> OpenedData:
        """The images of a data set, found and counted.

        Args:
            data: one of ``rl_transfer.spec.image_data``.
            key: config path of it, for errors.
        """
        return open_images(data, key)

    def build_classifier(
        self, model: Frozen, num_classes: int, seed: int, preprocessing: Preprocessing | None = None
    ) -> Classifier:
        """A network without pretrained weights, its head made for ``num_classes``.

        Args:
            model: one of ``rl_transfer.spec.image_model``.
            num_classes: outputs of its head, ≥ 1.
            seed: of the initialisation.
            preprocessing: of the weights that will be copied; None: the architecture's own.

        Returns:
            The network on the CPU.
        """
        wanted = None if preprocessing is None else narrowed(preprocessing, ImagePreprocessing)
        if isinstance(model, KerasConfig):
            return build_keras_classifier(model, num_classes, seed, wanted)
        return build_classifier(_image_model(model), num_classes, seed, wanted)

    def read_preprocessing(self, data: Mapping[str, Json]) -> ImagePreprocessing:
        """Size, crop, mean and deviation from a bundle's JSON.

        Args:
            data: as read from a bundle.
        """
        return ImagePreprocessing.from_json(data)

    def load_pretrained(self, model: Frozen, weights: PretrainedWeights) -> Network:
        """A published network, or one from a file.

        Args:
            model: the architecture.
            weights: an entry's name or a file.

        Returns:
            The network in evaluation mode, with its published accuracy in the metadata.
        """
        if isinstance(model, KerasConfig):
            return load_pretrained_keras(model, narrowed(weights, WeightsConfig))
        config = _image_model(model)
        found = load_pretrained(config, narrowed(weights, WeightsConfig))
        classifier = classifier_of(found.module.eval(), found.head, found.preprocessing)
        metadata: dict[str, Json] = {
            "weights": found.description,
            "published_accuracy": found.published,
        }
        return Network(classifier, config, found.classes, None, metadata, digest_model(found.module))

    def find_pretrained(self, address: str) -> Network | None:
        """``torchvision/NAME`` and ``timm/NAME``, perhaps with ``:WEIGHTS`` (a name or a file).

        And ``keras:FILE``, or ``keras:MODEL:FILE`` where model and weights lie apart.

        Args:
            address: what the user wrote.

        Returns:
            The network; None for any other address.
        """
        if address.startswith("keras:"):
            place = address.removeprefix("keras:")
            apart = re.fullmatch(r"(.+):((?!//).+)", place)
            architecture, weights = apart.groups() if apart else (place, place)
            return self.load_pretrained(named_model(f"keras:{architecture}"), named_weights(weights))
        if not address.startswith(("torchvision/", "timm/")):
            return None
        name, _, weights = address.partition(":")
        return self.load_pretrained(named_model(name), named_weights(weights or "DEFAULT"))

    def elsewhere(self, network: Network) -> PlainLoading:
        """How torchvision or timm alone load it, where their own network has the same tensors.

        Args:
            network: as its bundle describes it.
        """
        return plain_loading(network) or super().elsewhere(network)

    def graph_input(self, network: Network) -> GraphInput:
        """Pixels of prepared pictures.

        Args:
            network: as its bundle describes it.
        """
        return pixel_input(narrowed(network.classifier.preprocessing, ImagePreprocessing))

    def augmentation(self, training: SupervisedTraining, preprocessing: Preprocessing) -> Augmentation | None:
        """Random crops, flips, turns, shifts, brightness and contrast, where any is asked for.

        Args:
            training: names their strengths.
            preprocessing: of the network that is trained.

        Returns:
            A function of image and generator; None if images stay as they are.
        """
        config = narrowed(training, ImageTraining).augmentation
        if not config.any:
            return None
        return partial(augmented, RandomChanges(config, narrowed(preprocessing, ImagePreprocessing)))

    def draw(
        self, test: LabelledSet, predictions: Predictions, classes: Sequence[str], folder: Path
    ) -> Mapping[str, NDArray[np.uint8]]:
        """A grid of predictions with confidences, and the confusion matrix.

        Args:
            test: the test part.
            predictions: on all of it, in its order.
            classes: names in the order of the labels.
            folder: gets ``predictions.png`` and ``confusion.png``.

        Returns:
            Name → RGB [height, width, 3].
        """
        found = {
            "predictions": prediction_grid(test, predictions, classes),
            "confusion": confusion_matrix(predictions, classes),
        }
        for name, picture in found.items():
            save_png(picture, folder / f"{name}.png")
        return found


IMAGES = ImageKind()
"""The one instance; kinds hold no state."""

ROOM: Room[SupervisedRun, SupervisedSuite] = SupervisedRoom(IMAGES)


def _image_model(model: Frozen) -> Backbone:
    if not isinstance(model, Backbone):
        raise TypeError(f"expected the config of an image classifier, got {type(model).__name__}")
    return model
