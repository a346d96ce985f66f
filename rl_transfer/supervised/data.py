"""What a data set is, whatever is labelled: class names, integer labels, a function that loads an item."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.wording import listing

Item: TypeAlias = Any
"""One labelled thing: a picture, a text, a row of numbers. Only its kind of data knows what it is."""


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Labelled items.

    Attributes:
        labels: int64 [n]; ``labels[i]`` indexes the class names.
        load: gives item i, 0 ≤ i < n; data-loader workers receive a copy of it.
    """

    labels: NDArray[np.int64]
    load: Callable[[int], Item]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.int64]) -> LabelledSet:
        """The items at ``indices``, in that order.

        Args:
            indices: int [m], each between 0 and n − 1.

        Returns:
            m items; nothing is loaded yet.
        """
        chosen = indices.astype(np.int64)
        return LabelledSet(self.labels[chosen], _Chosen(self.load, chosen))

    def with_classes(self, old: Sequence[str], new: Sequence[str]) -> LabelledSet:
        """The items of the classes ``new``, labelled by their place there.

        Args:
            old: the class names that the labels index now.
            new: those to keep, in the order wanted.

        Returns:
            As many items as have one of these classes.
        """
        place = np.array([new.index(name) if name in new else -1 for name in old], dtype=np.int64)
        labels = place[self.labels]
        kept = np.flatnonzero(labels >= 0)
        return LabelledSet(labels[kept], _Chosen(self.load, kept))


@dataclass(frozen=True)
class _Chosen:
    """Item i of a subset; a class, not a closure, so that data-loader workers can receive it."""

    load: Callable[[int], Item]
    indices: NDArray[np.int64]

    def __call__(self, index: int) -> Item:
        return self.load(int(self.indices[index]))


@dataclass(frozen=True, eq=False)
class OpenedData:
    """A data set, opened.

    Attributes:
        classes: names, in the order of the labels.
        pool: items to learn from (and to split a test part off, where ``test`` is None).
        test: the data set's own test part.
        skipped: files that were left out because they could not be decoded.
        notes: what else of the data is not used, and why; one line each.
    """

    classes: tuple[str, ...]
    pool: LabelledSet
    test: LabelledSet | None = None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def only(self, classes: Sequence[str], key: str) -> OpenedData:
        """The same data with these classes only, in this order.

        Args:
            classes: names to keep.
            key: config path of the data, for errors.

        Returns:
            The items of these classes, labelled by their place here.

        Raises:
            ConfigError: the data set has no such class.
        """
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            raise ConfigError(
                f"classes names {', '.join(unknown)}, which the data set does not have; "
                f"it has {listing(self.classes, 20)}",
                key=f"{key}.classes",
            )
        return OpenedData(
            tuple(classes),
            self.pool.with_classes(self.classes, classes),
            None if self.test is None else self.test.with_classes(self.classes, classes),
            self.skipped,
            self.notes,
        )

    def refuse_damaged(self, items: str, key: str) -> None:
        """Load every item once, and refuse the data if any cannot be.

        Args:
            items: what messages call the items, plural.
            key: config path of the data, for errors.

        Raises:
            ConfigError: naming the first of them.
        """
        parts = [self.pool, *([self.test] if self.test is not None else [])]
        failures = []
        for part in parts:
            for index in range(len(part)):
                try:
                    part.load(index)
                except RLTransferError as error:
                    failures.append(error.message)
        if failures:
            total = sum(map(len, parts))
            raise ConfigError(
                f"{len(failures)} of {total} {items} cannot be used: {listing(failures, 5, '; ')}", key=key
            )

    def refuse_empty_classes(self, items: str, key: str) -> None:
        """Refuse data that cannot be learned from.

        Args:
            items: what messages call the items, plural.
            key: config path of the data, for errors.

        Raises:
            ConfigError: a class has no items in some part, or there is only one class.
        """
        if not self.classes:
            left_out = f": {'; '.join(self.notes)}" if self.notes else ""
            raise ConfigError(f"no {items} are left to learn from{left_out}", key=key)
        parts = (("", self.pool),) if self.test is None else (
            (" to learn from", self.pool), (" in the test part", self.test),
        )  # fmt: skip
        for where, part in parts:
            counts = np.bincount(part.labels, minlength=len(self.classes))
            empty = [name for name, count in zip(self.classes, counts, strict=True) if count == 0]
            if empty:
                raise ConfigError(
                    f"class {listing(empty, 20)} has no {items}{where}; remove it, or name the classes to "
                    "use under classes",
                    key=key,
                )
        if len(self.classes) < 2:
            raise ConfigError(
                f"only one class ({self.classes[0]}) was found; there is nothing to tell apart", key=key
            )


def refuse_other_columns(where: Path, known: Collection[str], wanted: Mapping[str, str], key: str) -> None:
    """Refuse a table that lacks a column: that is a wrong name, not a table of incomplete rows.

    Args:
        where: the table.
        known: its columns.
        wanted: setting → the column that it names.
        key: config path of the data, for errors.

    Raises:
        ConfigError: naming the first that is missing, and those that are there.
    """
    for option, name in wanted.items():
        if name not in known:
            raise ConfigError(
                f"{where} has no column {name!r}; it has {listing(sorted(known), 10) or 'none'}. Name it "
                f"under {option}",
                key=f"{key}.{option}",
            )


def refuse_changed(data: LabelledData, key: str) -> None:
    """Refuse files that are not those that a run was planned with.

    Args:
        data: with the fingerprint that was taken when the run was planned, or none.
        key: config path of it, for errors.

    Raises:
        ConfigError: they have changed since.
    """
    gone = data.files is not None and not data.files.exists()  # what opens the data says so
    if not gone and not data.is_as_planned:
        raise ConfigError(
            f"{data.files or 'a file of the data'} has changed since this run was planned; start it again, "
            "so that it gets a run id of its own",
            key=key,
        )
