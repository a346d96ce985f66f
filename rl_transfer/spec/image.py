"""The configs of runs on images: what they narrow of every supervised run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from rl_transfer.spec.base import Name
from rl_transfer.spec.image_data import Data
from rl_transfer.spec.image_model import ImageTraining, Model, Weights
from rl_transfer.spec.supervised import (
    SupervisedRun,
    SupervisedSource,
    SupervisedSuite,
    SupervisedTarget,
    SupervisedTrainConfig,
    SupervisedTransferConfig,
)


class ImageRun(SupervisedRun):
    """One run on images."""

    kind: Literal["image"] = "image"
    data: Data | None = None
    model: Model | None = None
    weights: Weights | None = None
    training: ImageTraining | None = None


class ImageTrainConfig(SupervisedTrainConfig):
    """``rl-transfer train`` on images."""

    run_type: ClassVar[type[SupervisedRun]] = ImageRun

    kind: Literal["image"] = "image"
    data: Data
    """Labelled images; a plain text is the path of a folder with one sub-folder per class."""
    model: Model
    """``small-resnet``, ``timm/NAME``, ``keras:FILE`` or torchvision's name; or one of these, whole."""
    weights: Weights | None = None
    training: ImageTraining = ImageTraining()


class ImageTransferConfig(ImageTrainConfig, SupervisedTransferConfig):
    """``rl-transfer transfer`` on images."""

    name: Name = "transfer"


class ImageSource(SupervisedSource):
    """A source of an image suite."""

    data: Data | None = None
    """Labelled images; a plain text is the path of a folder with one sub-folder per class."""
    weights: Weights | None = None
    training: ImageTraining | None = None


class ImageTarget(SupervisedTarget):
    """A target of an image suite."""

    data: Data
    """Labelled images; a plain text is the path of a folder with one sub-folder per class."""
    training: ImageTraining | None = None


class ImageSuite(SupervisedSuite):
    """``rl-transfer sweep`` on images."""

    run_type: ClassVar[type[SupervisedRun]] = ImageRun

    kind: Literal["image"] = "image"
    model: Model
    """``small-resnet``, ``timm/NAME``, ``keras:FILE`` or torchvision's name; or one of these, whole."""
    training: ImageTraining = ImageTraining()
    sources: Mapping[Name, ImageSource] = Field(min_length=1)
    targets: Mapping[Name, ImageTarget] = Field(min_length=1)
