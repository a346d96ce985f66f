"""Bundles of image classifiers: writing one, and building the network again from data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rl_transfer.core import PartMap, load_bundle, save_bundle
from rl_transfer.errors import BundleError
from rl_transfer.frame import bundle_folder
from rl_transfer.image.backbones import Classifier, build_classifier
from rl_transfer.image.preprocessing import Preprocessing
from rl_transfer.results import library_versions
from rl_transfer.spec.image_data import ImageData, parse_data
from rl_transfer.spec.image_model import Model, parse_model

LIBRARIES = ("rl-transfer", "torch", "torchvision", "timm", "numpy", "pillow")
NO_BUNDLE = (
    "Weights from a file or a library are named in the config of `rl-transfer train`, under the key weights"
)
"""What people are told who name something else than a bundle."""


@dataclass(frozen=True)
class Network:
    """A classifier that can be transferred and measured, and what its bundle says of it.

    Attributes:
        classes: names of its classes in the order of its logits; None if nobody knows them.
        data: what it was trained on (or measured on); None for weights from elsewhere.
    """

    classifier: Classifier
    model: Model
    classes: tuple[str, ...] | None
    data: ImageData | None
    metadata: Mapping[str, Any]
    digest: str

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode."""
        return self.classifier.module

    @property
    def parts(self) -> PartMap:
        """Its named parts."""
        return self.classifier.parts

    @property
    def state(self) -> dict[str, Tensor]:
        """Its tensors."""
        return dict(self.module.state_dict())


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that can change a result."""
    return library_versions(LIBRARIES)


def save_network(
    folder: Path,
    state: Mapping[str, Tensor],
    classifier: Classifier,
    model: Model,
    extra: Mapping[str, Any],
) -> None:
    """Write the bundle of a classifier.

    Args:
        folder: must not exist.
        state: its tensors.
        classifier: tells head and preprocessing.
        model: its architecture.
        extra: ``classes``, ``data`` and further metadata (score, freeze plan …).
    """
    metadata = {
        "kind": "image",
        "model": model.plain(),
        "head": list(classifier.head.paths),
        "num_classes": classifier.head.outputs,
        "preprocessing": classifier.preprocessing.to_json(),
        "versions": versions(),
        **extra,
    }
    save_bundle(folder, state, metadata, kind="model")


def load_network(path: Path) -> Network:
    """Build the classifier in a bundle; nothing is unpickled and no code of the bundle is run.

    Args:
        path: a bundle folder, a run folder, or an output folder with one run.

    Raises:
        BundleError: it is missing, damaged, or no image classifier.
    """
    bundle = load_bundle(bundle_folder(path, hint=NO_BUNDLE))
    metadata = bundle.metadata
    if metadata.get("kind") != "image":
        raise BundleError(f"{path} is a bundle of kind {metadata.get('kind')!r}, not an image classifier")
    try:
        model = parse_model(metadata["model"])
        data = metadata.get("data")
        parsed = None if data is None else parse_data(data)
        count = int(metadata["num_classes"])
        classes = metadata["classes"]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: bundle.json does not describe an image classifier: {error}") from None
    preprocess = Preprocessing.from_json(metadata.get("preprocessing", {}))
    classifier = build_classifier(model, count, seed=0, preprocess=preprocess)
    try:
        classifier.module.load_state_dict(bundle.state())
    except RuntimeError as error:
        raise BundleError(f"{path}: the tensors do not fit the described network: {error}") from None
    classifier.module.eval()
    names = None if classes is None else tuple(map(str, classes))
    return Network(classifier, model, names, parsed, metadata, bundle.digest)
