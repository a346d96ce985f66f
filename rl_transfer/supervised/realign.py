"""A classifier measured behind another trunk, or on another domain, after an alignment without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from rl_transfer.errors import TransferError
from rl_transfer.seeding import generator
from rl_transfer.spec.base import Json
from rl_transfer.spec.optimization import SupervisedEvaluation
from rl_transfer.supervised.alignment import AlignedHead, align_head
from rl_transfer.supervised.classifier import Network, Preprocessing
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.measures import Home

UNLABELLED = 256
"""Items that estimate a map where nobody says how many."""


@dataclass(frozen=True, eq=False)
class Realigned:
    """An aligned classifier, and what it is measured on and beside.

    Attributes:
        module: the aligned network.
        preprocessing: of its inputs.
        items: those that the map was not estimated from.
        beside: name → network and preprocessing: ``as_it_is`` is the source, ``shuffled`` the control whose
            map comes from pairs that do not belong together.
        facts: what the map is, for ``--json``.
        notes: lines for people.
    """

    module: nn.Module
    preprocessing: Preprocessing
    items: LabelledSet
    beside: Mapping[str, tuple[nn.Module, Preprocessing]]
    facts: Mapping[str, Json]
    notes: tuple[str, ...]


def realign(
    kind: DataKind, source: Network, trunk: Network | None, items: LabelledSet, unlabelled: int
) -> Realigned:
    """Align a classifier by some of the items that it would be measured on; these are then left out.

    Args:
        kind: of the data.
        source: has the head.
        trunk: another network: its features of the items are mapped to the source's features of the same
            items. None: the source's own features of the items are made like those of its training items in
            mean and covariance (CORAL).
        items: what is to be measured on.
        unlabelled: how many of them estimate the map, ≥ 2, drawn at random; their labels are not used.

    Raises:
        TransferError: there are too few items, a head is no linear layer, or the source's training data are
            not at hand.
    """
    if unlabelled >= len(items):
        raise TransferError(
            f"there are {len(items)} {kind.items} to measure on, and {unlabelled} of them are to estimate "
            f"the map; give --unlabelled {max(2, len(items) // 2)} or less, or more data"
        )
    rng = generator(0, "align", kind.name)
    order = rng.permutation(len(items))
    given, rest = items.subset(np.sort(order[:unlabelled])), items.subset(np.sort(order[unlabelled:]))
    beside = {"as_it_is": (source.module, source.classifier.preprocessing)}
    if trunk is None:
        found = align_head(
            source, source, given, _home_items(kind, source, unlabelled, rng), rng, paired=False
        )
    else:
        found = align_head(source, trunk, given, given, rng)
        shuffled = align_head(source, trunk, given, given.subset(rng.permutation(unlabelled)), rng)
        beside["shuffled"] = (shuffled.module, trunk.classifier.preprocessing)
    whose = (trunk or source).classifier.preprocessing
    return Realigned(found.module, whose, rest, beside, _facts(found, unlabelled), found.doubts)


def _facts(found: AlignedHead, unlabelled: int) -> dict[str, Json]:
    return {
        "unlabelled": unlabelled,
        "map": found.map.kind,
        "direction": found.map.direction,
        "rank": found.map.rank,
        "shrinkage": found.map.shrinkage,
        "held_out_r2": found.map.held_out_r2,
        "pairing_p": None if found.check is None else found.check.p,
        "doubts": [*found.doubts],
    }


def _home_items(kind: DataKind, source: Network, count: int, rng: np.random.Generator) -> LabelledSet:
    """As many of the source's own training items, or all."""
    home = Home(kind, source, SupervisedEvaluation().batch_size)
    if home.splits is None:
        raise TransferError(
            f"the {kind.items} that the classifier was trained on are not at hand "
            f"({'; '.join(home.notes) or 'its bundle does not name them'}); without them there is nothing to "
            "match the features to"
        )
    own = home.splits.train
    return own.subset(np.sort(rng.permutation(len(own))[:count]))
