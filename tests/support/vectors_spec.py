"""A third kind of data, its configs: labelled rows of numbers and a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from rl_transfer.spec.base import Frozen, Name, PositiveFloat, PositiveInt
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.supervised import (
    ModelConfig,
    SupervisedRun,
    SupervisedSource,
    SupervisedSuite,
    SupervisedTarget,
    SupervisedTrainConfig,
    SupervisedTransferConfig,
)


class VectorData(LabelledData):
    """A ``.npz`` file with ``rows`` [n, features], ``labels`` [n] and ``classes``."""

    name: Literal["vectors"]
    path: str

    @property
    def files(self) -> Path:
        """The file."""
        return Path(self.path)


class RowInput(Frozen):
    """How a row becomes the network's input."""

    scale: PositiveFloat = 1.0
    """Every number is divided by it."""


class PerceptronConfig(ModelConfig):
    """Linear layers with ReLU between them."""

    name: Literal["perceptron"]
    features: PositiveInt
    widths: tuple[PositiveInt, ...] = Field(default=(16, 16), min_length=1)
    input: RowInput = RowInput()


class VectorRun(SupervisedRun):
    """One run on rows of numbers."""

    kind: Literal["vector"] = "vector"
    data: VectorData | None = None
    model: PerceptronConfig | None = None


class VectorTrainConfig(SupervisedTrainConfig):
    """``rl-transfer train`` on rows of numbers."""

    run_type: ClassVar[type[SupervisedRun]] = VectorRun

    kind: Literal["vector"] = "vector"
    data: VectorData
    model: PerceptronConfig


class VectorTransferConfig(VectorTrainConfig, SupervisedTransferConfig):
    """``rl-transfer transfer`` on rows of numbers."""

    name: Name = "transfer"


class VectorSource(SupervisedSource):
    """A source of a suite."""

    data: VectorData | None = None


class VectorTarget(SupervisedTarget):
    """A target of a suite."""

    data: VectorData


class VectorSuite(SupervisedSuite):
    """``rl-transfer sweep`` on rows of numbers."""

    run_type: ClassVar[type[SupervisedRun]] = VectorRun

    kind: Literal["vector"] = "vector"
    model: PerceptronConfig
    sources: Mapping[Name, VectorSource] = Field(min_length=1)
    targets: Mapping[Name, VectorTarget] = Field(min_length=1)
