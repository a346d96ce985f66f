"""Where source and target part in a classifier, before and after training; measured on a twin at the end."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rl_transfer.core import Layer, PartMap, isolated
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import TransferError
from rl_transfer.frame.gaps import INPUT, DomainRows, LayerRows, gaps_record
from rl_transfer.seeding import generator
from rl_transfer.spec.base import Json
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.diagnosis import MOST_ITEMS
from rl_transfer.supervised.measures import Home
from rl_transfer.supervised.series import layers_in_series
from rl_transfer.supervised.splits import Splits

MOST_LAYERS = 12
"""A trunk of more has its parts looked at, not its layers."""


class ClassifierGaps:
    """Compares the source's test items with the target's, as a network sees them before and after training.

    Args:
        twin: the network that is trained, built anew and used by nobody else.
        splits: of the target.
        home: the source with its data; None: there is nothing to compare with.
        seed: of the choice of items; the same for every strategy on a target.
        start: every tensor before training, the transfer done.
    """

    def __init__(
        self, twin: Classifier, splits: Splits, home: Home | None, seed: int, start: Mapping[str, Tensor]
    ) -> None:
        self._twin, self._splits, self._home, self._seed = twin, splits, home, seed
        self._start = {name: each.clone().cpu() for name, each in start.items()}

    def record(self, end: Mapping[str, Tensor]) -> dict[str, Json]:
        """Measure both networks.

        Args:
            end: every tensor of the network that is kept, adapters folded in.

        Returns:
            The record's ``gaps``.

        Raises:
            TransferError: there is no source, or its data are not at hand.
        """
        home = None if self._home is None else self._home.splits
        if home is None:
            raise TransferError("the run has no source whose data are at hand")
        classes = self._splits.classes
        names = torch.tensor(
            [
                classes.index(each) if each in classes else len(classes) + i
                for i, each in enumerate(home.classes)
            ]
        )
        sides = [self._chosen(part, side) for part, side in ((home, "source"), (self._splits, "target"))]
        count = min(len(each[0]) for each in sides)
        (theirs, given), (mine, labels) = ((inputs[:count], named[:count]) for inputs, named in sides)
        with isolated(self._seed):
            start, last = (self._features(each, theirs, mine) for each in (self._start, end))
        rows = DomainRows(names[given], None), DomainRows(labels, None)
        states: dict[str, Json] = {"rows": count, "items": "test items of both", "labels": "classes"}
        return gaps_record(start, last, rows, states, self._seed)

    def _chosen(self, part: Splits, side: str) -> tuple[Tensor, Tensor]:
        batches = Batches(part.test, self._twin.preprocessing)
        order = generator(self._seed, "gaps", side).permutation(len(batches))[:MOST_ITEMS]
        return next(batches.at(order, MOST_ITEMS))

    def _features(self, weights: Mapping[str, Tensor], source: Tensor, target: Tensor) -> LayerRows:
        model = self._twin.module
        model.load_state_dict(weights)
        layers = looked_at(self._twin.parts)
        sides = []
        for inputs in (source, target):
            with torch.no_grad():
                found = layer_outputs(model, layers, lambda inputs=inputs: model(inputs))  # type: ignore[misc]
            sides.append({INPUT: inputs.flatten(1), **found})
        return {name: (sides[0][name].float(), sides[1][name].float()) for name in sides[0]}


def looked_at(parts: PartMap) -> dict[str, Layer]:
    """The layers of a classifier that are measured.

    Args:
        parts: of it.

    Returns:
        Name → layer, from input to output: every layer of a small trunk, the last of each part of a large.
    """
    series = layers_in_series(parts)
    if len(series) <= MOST_LAYERS:
        return {f"{one[-1].part}.{one[-1].index}": one[-1] for one in series}
    return {layer.part: layer for one in series for layer in one}
