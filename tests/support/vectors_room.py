"""A third kind of data, its room: what rows of numbers add to runs on labelled data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.core import PartMap, PartRule, isolated
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.frame import Room
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.supervised import SupervisedRun, SupervisedSuite
from rl_transfer.supervised.classifier import Classifier, Preprocessing
from rl_transfer.supervised.data import LabelledSet, OpenedData
from rl_transfer.supervised.kind import DataKind, narrowed
from rl_transfer.supervised.room import SupervisedRoom
from support.vectors_spec import PerceptronConfig, VectorData, VectorRun


@dataclass(frozen=True)
class Scaling:
    """A row divided by a number."""

    features: int
    scale: float

    @property
    def input_shape(self) -> tuple[int]:
        """One row."""
        return (self.features,)

    def __call__(self, item: NDArray[np.float32]) -> Tensor:
        """The row as a tensor."""
        return torch.from_numpy(item) / self.scale

    def to_json(self) -> dict[str, Json]:
        """As data for a bundle."""
        return asdict(self)

    def relied_on(self) -> Mapping[str, object]:
        """Weights trained with another scale see other numbers."""
        return {"scale": self.scale}


@dataclass(frozen=True)
class Rows:
    """Row i of an array; a class, so that data-loader workers can receive it."""

    rows: NDArray[np.float32]

    def __call__(self, index: int) -> NDArray[np.float32]:
        """Row ``index``."""
        row: NDArray[np.float32] = self.rows[index]
        return row


class VectorKind(DataKind):
    """Rows of numbers, classified by a multilayer perceptron."""

    name = "vector"
    items = "rows"
    classifier = "a vector classifier"
    run_type = VectorRun

    def read_data(self, data: LabelledData, key: str) -> OpenedData:
        """Read the file."""
        path = Path(narrowed(data, VectorData).path)
        try:
            with np.load(path, allow_pickle=False) as content:
                rows, labels, classes = (content[name] for name in ("rows", "labels", "classes"))
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(f"{path} is no file of labelled rows: {error}", key=f"{key}.path") from None
        pool = LabelledSet(labels.astype(np.int64), Rows(rows.astype(np.float32)))
        return OpenedData(tuple(map(str, classes)), pool)

    def build_classifier(
        self, model: Frozen, num_classes: int, seed: int, preprocessing: Preprocessing | None = None
    ) -> Classifier:
        """Linear layers ``hidden1`` … and ``head``."""
        config = narrowed(model, PerceptronConfig)
        sizes = (config.features, *config.widths)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        with isolated(seed):
            for index, (inputs, outputs) in enumerate(pairwise(sizes), 1):
                layers[f"hidden{index}"] = nn.Linear(inputs, outputs)
                layers[f"relu{index}"] = nn.ReLU()
            layers["head"] = nn.Linear(sizes[-1], num_classes)
        scaling = preprocessing or Scaling(config.features, config.input.scale)
        return Classifier(nn.Sequential(layers), scaling, ("head",), num_classes, parts)

    def read_preprocessing(self, data: Mapping[str, Json]) -> Preprocessing:
        """A bundle's scaling."""
        features, scale = data.get("features"), data.get("scale")
        if not isinstance(features, int) or not isinstance(scale, float):
            raise BundleError(f"the bundle's preprocessing is damaged: {data}")
        return Scaling(features, scale)


def parts(module: nn.Module) -> PartMap:
    """Every linear layer is a part."""
    names = [name for name, child in module.named_children() if not isinstance(child, nn.ReLU)]
    rules = {name: PartRule((name,), "head" if name == "head" else "trunk") for name in names}
    return PartMap.build(module, rules)


VECTORS = VectorKind()

ROOM: Room[SupervisedRun, SupervisedSuite] = SupervisedRoom(VECTORS)
