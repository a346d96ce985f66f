"""Where an image run's source comes from: a bundle, or pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl_transfer.core import digest_model
from rl_transfer.image.backbones import Classifier
from rl_transfer.image.weights import load_pretrained
from rl_transfer.spec.image import ImageRun
from rl_transfer.spec.image_data import ImageData
from rl_transfer.spec.image_model import Model, WeightsConfig
from rl_transfer.supervised.bundle import Network, load_network, save_network


def pretrained_network(model: Model, weights: WeightsConfig, data: ImageData | None = None) -> Network:
    """Pretrained weights as a network that can be copied from and measured.

    Raises:
        RLTransferError: the file is absent, damaged or of another architecture.
    """
    found = load_pretrained(model, weights)
    classifier = Classifier(found.module.eval(), found.head, found.preprocessing)
    metadata = {"weights": found.description, "published_accuracy": found.published}
    return Network(classifier, model, found.classes, data, metadata, digest_model(found.module))


def read_source(run: ImageRun, bundle: Path | None) -> Network | None:
    """The source of a run: the bundle that was handed over, else the weights in its config."""
    if bundle is not None:
        return load_network(bundle)
    if run.weights is not None and run.model is not None:
        return pretrained_network(run.model, run.weights)
    return None


def save_pretrained(folder: Path, network: Network, **extra: Any) -> None:
    """Write the bundle of a pretrained network that was never trained here."""
    metadata = {
        **dict(network.metadata),
        "classes": None if network.classes is None else list(network.classes),
        "data": None if network.data is None else network.data.plain(),
        "score": None,
        "training": None,
        **extra,
    }
    save_network(folder, network.state, network.classifier, network.model, metadata)
