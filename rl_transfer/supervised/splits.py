"""Which items train, which choose an epoch, which measure: stratified, seeded, exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_transfer.errors import ConfigError
from rl_transfer.spec.base import Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.supervised.data import LabelledSet, OpenedData
from rl_transfer.supervised.seeds import shots_seed, split_seed

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set, split.

    Attributes:
        classes: names, in the order of the labels.
        train: what is learned from: the labelled items without the validation part.
        validation: None without one.
        test: what accuracy is measured on.
        unlabelled: what the ``shots`` leave of the items to learn from; its labels are not to be read.
        skipped: files that could not be decoded and were left out.
        notes: what else of the data is not used, and why.
        items: what people call the items, plural.
    """

    classes: tuple[str, ...]
    train: LabelledSet
    validation: LabelledSet | None
    test: LabelledSet
    unlabelled: LabelledSet
    skipped: tuple[str, ...] = ()
    items: str = "items"
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Json]:
        """What the split made, for the record.

        Returns:
            Class names, items per class in each part, and what was left out.
        """
        count = len(self.classes)
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts: dict[str, Json] = {
            name: [int(items) for items in np.bincount(part.labels, minlength=count)]
            for name, part in parts.items()
            if part is not None
        }
        return {
            "classes": list(self.classes),
            self.items: counts,
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }


def split_data(
    opened: OpenedData,
    data: LabelledData,
    root_seed: int,
    seed: int,
    items: str = "items",
    key: str = "data",
) -> Splits:
    """Split a data set.

    The test part is the same for every seed index and any number of shots. The labelled items
    (``shots`` per class, or all the rest) are drawn per seed index; the validation part is taken
    from them, so that ``shots`` counts every label that is used.

    Args:
        opened: the data set.
        data: its config.
        root_seed: root of the random streams.
        seed: seed index, for the choice of labelled items.
        items: what people call the items, plural.
        key: config path of ``data``, for errors.

    Returns:
        Parts that share no item.

    Raises:
        ConfigError: a class has too few items for its shots, its test or its validation part.
    """
    if opened.test is not None:
        pool, test = opened.pool, opened.test
    else:
        held_out, rest = stratified(opened.pool.labels, data.test, split_seed(root_seed, data))
        pool, test = opened.pool.subset(rest), opened.pool.subset(held_out)
    _refuse_empty(opened, pool, test, data, items, key)
    rng = np.random.default_rng(shots_seed(root_seed, seed, data))
    drawn = [
        _draw(rng.permutation(np.flatnonzero(pool.labels == label)), name, data, items, key)
        for label, name in enumerate(opened.classes)
    ]
    labelled, validation = ([part[i] for part in drawn] for i in (0, 1))
    drawn_of_all = np.concatenate([*labelled, *validation])
    return Splits(
        opened.classes,
        pool.subset(np.sort(np.concatenate(labelled))),
        pool.subset(np.sort(np.concatenate(validation))) if data.validation else None,
        test,
        pool.subset(np.setdiff1d(np.arange(len(pool)), drawn_of_all)),
        opened.skipped,
        items,
        opened.notes,
    )


def _draw(mine: Indices, name: str, data: LabelledData, items: str, key: str) -> tuple[Indices, Indices]:
    """One class's items, shuffled: those to train on and those to validate on."""
    if data.shots is not None and len(mine) < data.shots:
        raise ConfigError(
            f"class {name!r} has {len(mine)} {items} to learn from, fewer than the {data.shots} shots "
            "asked for; lower shots, hold out less for the test, or leave the class out",
            key=f"{key}.shots",
        )
    mine = mine[: data.shots]
    kept = round(len(mine) * data.validation)
    if data.validation and (kept == 0 or kept == len(mine)):
        raise ConfigError(
            f"class {name!r} has {len(mine)} labelled {items}, of which a share of {data.validation} is "
            f"{kept} for validation; at least one must remain on either side",
            key=f"{key}.validation",
        )
    return mine[kept:], mine[:kept]


def stratified(labels: Indices, share: float, seed: int) -> tuple[Indices, Indices]:
    """Split indices so that every class gives ``share`` of its items (rounded) to the first part.

    Args:
        labels: int64 [n].
        share: between 0 and 1.
        seed: of the draw.

    Returns:
        (first, rest), both sorted.
    """
    rng = np.random.default_rng(seed)
    first = []
    for label in np.unique(labels):
        mine = rng.permutation(np.flatnonzero(labels == label))
        first.append(mine[: round(len(mine) * share)])
    chosen = np.sort(np.concatenate(first)) if first else np.array([], dtype=np.int64)
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def _refuse_empty(
    opened: OpenedData, pool: LabelledSet, test: LabelledSet, data: LabelledData, items: str, key: str
) -> None:
    for part, what in ((pool, "to learn from"), (test, "to test on")):
        counts = np.bincount(part.labels, minlength=len(opened.classes))
        if not counts.all():
            name = opened.classes[int(np.flatnonzero(counts == 0)[0])]
            total = np.bincount(opened.pool.labels, minlength=len(opened.classes)).max()
            raise ConfigError(
                f"class {name!r} has no {items} left {what} with test: {data.test} "
                f"(the largest class has {total}); give it more {items} or change the share",
                key=f"{key}.test",
            )
