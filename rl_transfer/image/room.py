"""The door of the image room: what sweeps and the command line call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_transfer.core import inventory
from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.frame import (
    EvaluationRequest,
    Facts,
    FoundSource,
    InspectionHints,
    Labels,
    Measured,
    Room,
    Say,
    bundle_folder,
    run_identity,
)
from rl_transfer.image.data import open_data, split_data
from rl_transfer.image.sources import pretrained_network, save_pretrained
from rl_transfer.results import RunFolder
from rl_transfer.spec import Frozen, locate
from rl_transfer.spec.base import Json
from rl_transfer.spec.image import ImageRun, ImageSuite
from rl_transfer.spec.image_data import Data, FolderData, ImageData
from rl_transfer.spec.image_model import ImageTraining, named_model, named_weights
from rl_transfer.spec.load import validate
from rl_transfer.spec.yaml_map import Document, read_yaml
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import NO_BUNDLE, load_network
from rl_transfer.supervised.evaluate import measuring, named_accuracy, per_class, predict, speaks_of
from rl_transfer.supervised.loop import choose_device
from rl_transfer.supervised.preflight import preflight
from rl_transfer.supervised.run import execute


class ImageRoom:
    """Supervised runs on images."""

    labels = Labels(unit="epochs", measure="accuracy")

    def execute(self, run: ImageRun, folder: RunFolder, source: Path | None, say: Say = print) -> None:
        """Execute one run; see :meth:`rl_transfer.frame.Room.execute`."""
        execute(run, folder, source, say)

    def resolve(self, suite: ImageSuite) -> ImageSuite:
        """Nothing is left to fill in: files are fingerprinted when runs are planned."""
        return suite

    def preflight(self, suite: ImageSuite) -> Facts:
        """Open and split every data set, load every weights file, try every transfer."""
        return preflight(suite)

    def find_source(self, argument: str, output: Path) -> FoundSource:
        """The network that ``--source`` names.

        ``torchvision/resnet18`` and ``timm/NAME``, perhaps with ``:WEIGHTS`` (a name or a file), are
        pretrained weights; they are imported into ``output/sources/`` first.
        """
        path = Path(argument)
        if path.exists() or not argument.startswith(("torchvision/", "timm/")):
            identity = run_identity(path, load_network(path).digest)
            return FoundSource(bundle_folder(path, hint=NO_BUNDLE), identity)
        address, _, weights = argument.partition(":")
        network = pretrained_network(named_model(address), named_weights(weights or "DEFAULT"))
        folder = output / "sources" / network.digest[:16]
        if not folder.exists():
            save_pretrained(folder, network)
        return FoundSource(folder, f"digest:{network.digest}")

    def inspect(self, argument: str, hints: InspectionHints) -> Sequence[Mapping[str, Json]]:
        """The tensors of a bundled classifier; its bundle tells everything, hints are not needed."""
        network = load_network(Path(argument))
        return inventory(network.parts, network.state)

    def evaluate(self, argument: str, request: EvaluationRequest) -> Measured:
        """Measure a bundled classifier on the test images of its data, or of ``--data``.

        Raises:
            ConfigError: an environment is named; a classifier is measured on data.
        """
        if request.env is not None:
            raise ConfigError(f"{argument} is an image classifier; it is measured on --data, not in an --env")
        data = evaluate_bundle(argument, read_data(request.data))
        text = (
            f"accuracy {data['accuracy']:.3f} on {data['images']:,} test images of "
            f"{len(data['classes'])} classes"
        )
        return Measured(data, text)


ROOM: Room[ImageRun, ImageSuite] = ImageRoom()


class _Holder(Frozen):
    data: Data


def read_data(argument: str | None) -> ImageData | None:
    """The data set that ``--data`` names: a folder of images, or a YAML file with a data config.

    Raises:
        ConfigError: the file holds something else.
    """
    if argument is None:
        return None
    if not argument.endswith((".yaml", ".yml")):
        return FolderData(name="folder", path=argument)
    document = read_yaml(locate(argument, "train"))
    nested = "data" in document.data
    places = document.places if nested else {("data", *key): at for key, at in document.places.items()}
    content = {"data": document.data["data"] if nested else document.data}
    return validate(_Holder, Document(content, places)).data


def evaluate_bundle(bundle: str, data: ImageData | None = None, batch_size: int = 256) -> dict[str, Any]:
    """Measure a bundled classifier.

    Args:
        bundle: bundle or run folder.
        data: on whose test part; none: the data that it was trained on.
        batch_size: images per forward pass.

    Raises:
        TransferError: nobody knows its data, or it cannot name the classes of these.
    """
    network = load_network(Path(bundle))
    target = data if data is not None else network.data
    if target is None:
        raise TransferError(f"{bundle} does not say what it was trained on; name the data to measure on")
    address = network.metadata.get("seeds") or {}
    root, seed = int(address.get("root_seed", 0)), int(address.get("seed", 0))
    splits = split_data(open_data(target), target, root, seed)
    if not speaks_of(network.classes, splits.classes):
        raise TransferError(
            f"the classifier knows the classes {', '.join(network.classes or ('(unnamed)',))}, but the data "
            f"have {', '.join(splits.classes)}; `transfer` builds a new head"
        )
    batches = Batches(splits.test, network.classifier.preprocessing)
    device = choose_device(ImageTraining())
    with measuring(network.module):
        found = predict(network.module, batches, batch_size, device)
    names = network.classes or ()
    same = names == splits.classes
    return {
        "images": len(splits.test),
        "accuracy": named_accuracy(found, names, splits.classes),
        "classes": list(splits.classes),
        "per_class": per_class(found, splits.classes) if same else None,
        "confusion": found.confusion(len(names)).tolist() if same else None,
    }
