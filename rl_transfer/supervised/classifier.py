"""A classifier as transfer sees it: a network, its named parts, and how its inputs are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.core import PartMap
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.supervised.data import Item


class Preprocessing(Protocol):
    """How an item becomes the network's input."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""

    def __call__(self, item: Item, /) -> Tensor:
        """The input for an item, of ``input_shape``: float32, or int32 where it is made of tokens."""

    def to_json(self) -> dict[str, Json]:
        """As data for a bundle.

        Returns:
            What the kind's :meth:`DataKind.read_preprocessing` reads again.
        """

    def relied_on(self) -> Mapping[str, object]:
        """What copied weights rely on: it must be the same in source and target.

        Returns:
            Key under ``model.input`` → value.
        """


Augmentation = Callable[[Item, np.random.Generator], Tensor]
"""A randomly changed item as the network's input, float32 of the preprocessing's ``input_shape``."""


@dataclass(frozen=True)
class GraphInput:
    """How a classifier is exported as a graph, for whoever runs it without this package.

    Attributes:
        name: of the graph's input.
        told: what the input is, and what the graph leaves to do: whole sentences.
        first: what the graph does to a batch of raw inputs before the network sees it.
        raw: an item as one raw input.
        drawn: so many items at random, on which graph and network are compared.
    """

    name: str
    told: str
    first: nn.Module
    raw: Callable[[object], NDArray[np.generic]]
    drawn: Callable[[np.random.Generator, int], Sequence[object]]


@dataclass(frozen=True)
class Classifier:
    """A network with everything that transfer needs to know of it.

    Attributes:
        module: input [n, *preprocessing.input_shape] → logits [n, outputs].
        preprocessing: makes its inputs.
        heads: module paths of its head; several where a network has more than one classifier.
        outputs: number of logits.
        find_parts: sorts the module's tensors, those that were added later too, into named parts;
            one is called ``head`` and has that role.
        held_statistics: why the statistics of its frozen layers cannot follow the data (``norm:
            adapt``); None where they can.
    """

    module: nn.Module
    preprocessing: Preprocessing
    heads: tuple[str, ...]
    outputs: int
    find_parts: Callable[[nn.Module], PartMap]
    held_statistics: str | None = None

    @property
    def parts(self) -> PartMap:
        """The named parts of the module as it is now."""
        return self.find_parts(self.module)


@dataclass(frozen=True)
class Network:
    """A classifier that can be transferred and measured, and what its bundle says of it.

    Attributes:
        model: its architecture.
        classes: names of its classes in the order of its logits; None if nobody knows them.
        data: what it was trained on (or measured on); None for weights from elsewhere.
        metadata: of its bundle.
        digest: of its bundle, or of its tensors where there is no bundle.
    """

    classifier: Classifier
    model: Frozen
    classes: tuple[str, ...] | None
    data: LabelledData | None
    metadata: Mapping[str, Json]
    digest: str

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode."""
        return self.classifier.module

    @property
    def score(self) -> float | None:
        """Accuracy as its run measured it in the end, 0 to 1; None where its bundle says no such number."""
        found = self.metadata.get("score")
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
            return None
        return float(found)

    @property
    def has_head(self) -> bool:
        """Whether its head was ever trained; weights of a trunk alone came without."""
        weights = self.metadata.get("weights")
        return not (isinstance(weights, dict) and weights.get("head") == "absent")

    @property
    def parts(self) -> PartMap:
        """Its named parts."""
        return self.classifier.parts

    @property
    def state(self) -> dict[str, Tensor]:
        """Its tensors."""
        return dict(self.module.state_dict())
