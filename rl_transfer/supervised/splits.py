"""Which images train, which choose an epoch, which measure: stratified, seeded, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_transfer.errors import ConfigError
from rl_transfer.image.data.images import ImageSet, OpenedData
from rl_transfer.spec.image_data import ImageData
from rl_transfer.supervised.seeds import shots_seed, split_seed

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set, split.

    Attributes:
        classes: names, in the order of the labels.
        train: what is learned from: the labelled images without the validation part.
        validation: None without one.
        test: what accuracy is measured on.
        skipped: files that could not be decoded and were left out.
    """

    classes: tuple[str, ...]
    train: ImageSet
    validation: ImageSet | None
    test: ImageSet
    skipped: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Class names and images per class, for the record."""
        count = len(self.classes)
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "classes": list(self.classes),
            "images": {
                name: np.bincount(part.labels, minlength=count).tolist()
                for name, part in parts.items()
                if part is not None
            },
            "skipped": list(self.skipped),
        }


def split_data(opened: OpenedData, data: ImageData, root_seed: int, seed: int, key: str = "data") -> Splits:
    """Split a data set.

    The test part is the same for every seed index and any number of shots. The labelled images
    (``shots`` per class, or all the rest) are drawn per seed index; the validation part is taken
    from them, so that ``shots`` counts every label that is used.

    Args:
        opened: the data set.
        data: its config.
        root_seed: root of the random streams.
        seed: seed index, for the choice of labelled images.
        key: config path of ``data``, for errors.

    Raises:
        ConfigError: a class has too few images for its shots, its test or its validation part.
    """
    if opened.test is not None:
        pool, test = opened.pool, opened.test
    else:
        held_out, rest = stratified(opened.pool.labels, data.test, split_seed(root_seed, data))
        pool, test = opened.pool.subset(rest), opened.pool.subset(held_out)
    _refuse_empty(opened, pool, test, data, key)
    rng = np.random.default_rng(shots_seed(root_seed, seed, data))
    drawn = [
        _draw(rng.permutation(np.flatnonzero(pool.labels == label)), name, data, key)
        for label, name in enumerate(opened.classes)
    ]
    labelled, validation = ([part[i] for part in drawn] for i in (0, 1))
    return Splits(
        opened.classes,
        pool.subset(np.sort(np.concatenate(labelled))),
        pool.subset(np.sort(np.concatenate(validation))) if data.validation else None,
        test,
        opened.skipped,
    )


def _draw(mine: Indices, name: str, data: ImageData, key: str) -> tuple[Indices, Indices]:
    """One class's images, shuffled: those to train on and those to validate on."""
    if data.shots is not None and len(mine) < data.shots:
        raise ConfigError(
            f"class {name!r} has {len(mine)} images to learn from, fewer than the {data.shots} shots "
            "asked for; lower shots, hold out less for the test, or leave the class out",
            key=f"{key}.shots",
        )
    mine = mine[: data.shots]
    kept = round(len(mine) * data.validation)
    if data.validation and (kept == 0 or kept == len(mine)):
        raise ConfigError(
            f"class {name!r} has {len(mine)} labelled images, of which a share of {data.validation} is "
            f"{kept} for validation; at least one image must remain on either side",
            key=f"{key}.validation",
        )
    return mine[kept:], mine[:kept]


def stratified(labels: Indices, share: float, seed: int) -> tuple[Indices, Indices]:
    """Split indices so that every class gives ``share`` of its images (rounded) to the first part.

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


def _refuse_empty(opened: OpenedData, pool: ImageSet, test: ImageSet, data: ImageData, key: str) -> None:
    for part, what in ((pool, "to learn from"), (test, "to test on")):
        counts = np.bincount(part.labels, minlength=len(opened.classes))
        if not counts.all():
            name = opened.classes[int(np.flatnonzero(counts == 0)[0])]
            total = np.bincount(opened.pool.labels, minlength=len(opened.classes)).max()
            raise ConfigError(
                f"class {name!r} has no image left {what} with test: {data.test} "
                f"(the largest class has {total}); give it more images or change the share",
                key=f"{key}.test",
            )
