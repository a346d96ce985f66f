"""What a classifier was trained on, so that nobody measures it there, and what is left of other data."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np

from rl_transfer.errors import ConfigError, DataNotAtHand, NothingUnseen, RLTransferError, TransferError
from rl_transfer.spec.base import Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Network, Preprocessing
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.measures import trained_with
from rl_transfer.supervised.splits import Splits

KEY = "trained_on"
"""Where a bundle's metadata keep the digests."""


def input_digests(items: LabelledSet, preprocessing: Preprocessing) -> list[str]:
    """What a network sees of items, in short: the same item in another folder or format has the same digest.

    Args:
        items: any part of a data set.
        preprocessing: of the network.

    Returns:
        16 hexadecimal digits per item, in their order.
    """
    batches = Batches(items, preprocessing, memory_limit=0)
    return [
        hashlib.sha256(one.contiguous().numpy().tobytes()).hexdigest()[:16]
        for inputs, _ in batches.in_order(256)
        for one in inputs
    ]


def trained_on(
    splits: Splits | None,
    preprocessing: Preprocessing,
    source: Network | None,
    unlabelled: LabelledSet | None = None,
) -> list[Json]:
    """The digests that a bundle keeps: what was trained on, what chose the epoch, and what the source saw.

    Args:
        splits: of the run; None if it trained nothing.
        preprocessing: of its network.
        source: what was copied from, if anything.
        unlabelled: items that training saw without their labels, if any.
    """
    parts = () if splits is None else (splits.train, splits.validation, unlabelled)
    found = {each for part in parts if part is not None for each in input_digests(part, preprocessing)}
    return [*sorted(found if source is None else found | (_kept(source) or set()))]


def seen_by(kind: DataKind, network: Network) -> Set[str] | None:
    """The digests of what a network was trained on.

    Args:
        kind: of its data.
        network: from a bundle; one of an older version has its split drawn again, where its data are at hand.

    Returns:
        None where nobody knows: weights from elsewhere, data that are gone.
    """
    kept = _kept(network)
    if kept is not None or network.data is None or "weights" in network.metadata:
        return kept
    try:
        splits = kind.split(network.data, *trained_with(network))
    except RLTransferError:
        return None
    return {str(each) for each in trained_on(splits, network.classifier.preprocessing, None)}


def seen_by_source(test: LabelledSet, source: Network | None) -> dict[str, Json] | None:
    """How much of a test part the source was trained on: there a gain may be memory, not transfer.

    Args:
        test: what the target is measured on.
        source: what was copied from, if anything.

    Returns:
        ``seen`` of ``items``; None without a source, and where nobody knows what it was trained on.
    """
    known = None if source is None else _kept(source)
    if source is None or known is None:
        return None
    digests = input_digests(test, source.classifier.preprocessing)
    return {"seen": sum(each in known for each in digests), "items": len(digests)}


@dataclass(frozen=True)
class Measurable:
    """What of some data may be measured on.

    Attributes:
        classes: names that the labels index.
        items: none of them trained on, as far as is known.
        text: which items these are, for people, after their number.
        notes: what of the data was not used.
        left_out: how many were trained on.
    """

    classes: tuple[str, ...]
    items: LabelledSet
    text: str
    notes: tuple[str, ...] = ()
    left_out: int = 0


def measurable(kind: DataKind, network: Network, data: LabelledData | None) -> Measurable:
    """What a classifier can be measured on.

    Its own data keep the split that they were trained with. Of other data everything is measured, or
    their test part if they have one of their own. What it or its source was trained on is left out of either.

    Args:
        kind: of the data.
        network: from a bundle.
        data: None: its own.

    Returns:
        At least one item.

    Raises:
        TransferError: it does not say what it was trained on, or its data are not at hand.
        NothingUnseen: it was trained on all of the data.
        RLTransferError: the data cannot be opened.
    """
    own = network.data
    if own is not None and (data is None or own.holds_the_items_of(data.planned())):
        splits = _own_splits(kind, network, own)
        classes, test = splits.classes, splits.test
        if data is not None and data.classes is not None:
            classes, test = data.classes, test.with_classes(classes, data.classes)
        return _unseen(kind, network, Measurable(classes, test, f"test {kind.items}", splits.notes))
    if data is None:
        raise TransferError("the bundle does not say what it was trained on; name the data to measure on")
    opened = kind.open_data(data)
    items = opened.pool if opened.test is None else opened.test
    name, notes = kind.items, opened.notes
    if opened.test is not None:
        name = f"test {kind.items}"
        rest = f"{len(opened.pool)} {kind.items} to learn from are not measured"
        notes = (f"the data have a test part of their own; their {rest}", *notes)
    found = Measurable(opened.classes, items, name, notes)
    if seen_by(kind, network) is None:
        return replace(found, text=f"{name} (which of them it was trained on is not known)")
    return _unseen(kind, network, found)


def _unseen(kind: DataKind, network: Network, found: Measurable) -> Measurable:
    """Without what the network, or its source, was trained on; as it is where nobody knows."""
    items, seen = found.items, seen_by(kind, network) or frozenset()
    if not len(items) or not seen:
        return found
    digests = input_digests(items, network.classifier.preprocessing)
    fresh = np.array([digest not in seen for digest in digests])
    if not fresh.any():
        raise NothingUnseen(
            f"the classifier, or its source, was trained on all of the {len(items)} {found.text}; "
            "measure it on others with --data"
        )
    left_out = len(items) - int(fresh.sum())
    note = f" ({left_out} of {len(items)} left out: it was trained on them)" if left_out else ""
    return replace(
        found, items=items.subset(np.flatnonzero(fresh)), text=f"{found.text}{note}", left_out=left_out
    )


def _own_splits(kind: DataKind, network: Network, own: LabelledData) -> Splits:
    """The split of the run; its data may be gone or changed."""
    try:
        return kind.split(own, *trained_with(network))
    except ConfigError as error:
        raise DataNotAtHand(
            f"the data that it was trained on are not at hand ({error.message}); name others with --data"
        ) from None


def _kept(network: Network) -> set[str] | None:
    kept = network.metadata.get(KEY)
    return {str(each) for each in kept} if isinstance(kept, list) else None
