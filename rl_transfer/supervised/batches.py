"""From labelled items to batches of tensors: held in memory where they fit, decoded on the way else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rl_transfer.supervised.classifier import Augmentation, Preprocessing
from rl_transfer.supervised.data import LabelledSet

Indices = NDArray[np.int64]

MEMORY_LIMIT = 2**30
"""Bytes of prepared items that are kept in memory per part; larger parts are decoded every epoch."""

Batch = tuple[Tensor, Tensor]
"""Inputs [n, *input_shape] of four bytes each (or features of such) and labels int64 [n]."""


class Batches:
    """Batches of one part of a data set.

    Args:
        items: the part.
        preprocessing: of the network.
        augmentation: for training; None for measuring.
        workers: processes that decode and augment.
        memory_limit: bytes up to which prepared items are kept.
    """

    def __init__(
        self,
        items: LabelledSet,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        workers: int = 0,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.items = items
        self.labels = torch.from_numpy(items.labels)
        self._decoded = _Decoded(items, preprocessing, augmentation)
        # Workers of a sweep are daemonic processes, which may not have children of their own.
        self._workers = 0 if multiprocessing.current_process().daemon else workers
        size = 4 * len(items) * int(np.prod(preprocessing.input_shape))
        self._held: Tensor | None = None
        self._hold = augmentation is None and size <= memory_limit

    def __len__(self) -> int:
        return len(self.items)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Every item once, in the order of the part.

        Args:
            batch_size: items per batch.
        """
        return self.at(np.arange(len(self)), batch_size)

    def at(self, indices: Indices, batch_size: int, seed: int = 0) -> Iterator[Batch]:
        """The items at ``indices``, in that order.

        Args:
            indices: int64 [m], each between 0 and n − 1.
            batch_size: items per batch.
            seed: of augmentation.
        """
        return self._batches([indices[i : i + batch_size] for i in range(0, len(indices), batch_size)], seed)

    def of(self, indices: Indices, augmentation: Augmentation | None) -> Batches:
        """Batches of some of the items, decoded in this process.

        Args:
            indices: int64 [m], each between 0 and n − 1.
            augmentation: of them.
        """
        return Batches(self.items.subset(indices), self._decoded.preprocessing, augmentation)

    def shuffled(self, batch_size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Every item once, in the order that (seed, epoch) gives; a last batch of one joins its neighbour.

        Batch normalisation has no statistics of a single item.

        Args:
            batch_size: items per batch.
            seed: of the run's training.
            epoch: epochs finished.

        Returns:
            Batches of at least two items, unless the part has one only.
        """
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        return self._batches(_cut(order, batch_size), integer(seed, epoch))

    def replaced(self, tensors: Tensor) -> Batches:
        """The same part with ``tensors[i]`` (features, say) in the place of item i.

        Args:
            tensors: [n, …], on the CPU.

        Returns:
            Batches of these tensors with the same labels.
        """
        other = object.__new__(Batches)
        other.__dict__.update(self.__dict__, _held=tensors, _hold=True)
        return other

    def _batches(self, groups: Sequence[Indices], seed: int) -> Iterator[Batch]:
        if self._hold and self._held is None:
            self._held = torch.cat([batch for batch, _ in self._decode(_cut(np.arange(len(self)), 256), 0)])
        if self._held is None:
            yield from self._decode(groups, seed)
            return
        for group in groups:
            chosen = torch.from_numpy(group)
            yield self._held[chosen], self.labels[chosen]

    def _decode(self, groups: Sequence[Indices], seed: int) -> Iterator[Batch]:
        loader = DataLoader(
            self._decoded,
            batch_sampler=[[(int(index), seed) for index in group] for group in groups],
            num_workers=self._workers,
            worker_init_fn=_start_worker if self._workers else None,
            generator=torch.Generator().manual_seed(0),
        )
        yield from loader


@dataclass(frozen=True)
class _Decoded(Dataset[tuple[Tensor, int]]):
    """Item (index, seed) → tensor and label."""

    items: LabelledSet
    preprocessing: Preprocessing
    augmentation: Augmentation | None

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, int]:
        index, seed = item
        found, label = self.items.load(index), int(self.items.labels[index])
        if self.augmentation is not None:
            return self.augmentation(found, np.random.default_rng([seed, index])), label
        return self.preprocessing(found), label


def integer(seed: int, epoch: int) -> int:
    """One number for a seed and an epoch.

    Args:
        seed: of the run's training.
        epoch: epochs finished.
    """
    return int(np.random.default_rng([seed, epoch, 1]).integers(2**31))


def _cut(order: Indices, batch_size: int) -> list[Indices]:
    groups = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [np.concatenate(groups[-2:])]
    return groups


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
