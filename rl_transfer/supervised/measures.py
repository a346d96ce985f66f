"""What is measured across tasks: the source on the target (zero-shot), the result back on the source."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rl_transfer.core.digest import tensors_of
from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.spec.base import Json
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.evaluate import measuring, predict
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.predictions import named_accuracy, speaks_of
from rl_transfer.supervised.splits import Splits

CPU = torch.device("cpu")


class Home:
    """The source with the data that it was trained on.

    Args:
        kind: of its data.
        source: the source.
        batch_size: items per forward pass of a measurement.

    Attributes:
        notes: why something could not be measured.
    """

    def __init__(self, kind: DataKind, source: Network, batch_size: int) -> None:
        self._kind, self._source, self._size = kind, source, batch_size
        self._splits: Splits | None = None
        self._opened = False
        self.notes: list[str] = []

    @property
    def splits(self) -> Splits | None:
        """The source's data, split as for its own training; None if they are not at hand."""
        if not self._opened:
            self._opened = True
            self._splits = self._open()
        return self._splits

    def training_batches(self) -> Batches | None:
        """The source's training items as the source sees them.

        Returns:
            Batches; None if the data are not at hand.
        """
        preprocess = self._source.classifier.preprocessing
        return None if self.splits is None else Batches(self.splits.train, preprocess)

    def zero_shot(self, target: Splits, device: torch.device) -> dict[str, Json] | None:
        """The source as it is on the target's test part.

        Args:
            target: the target's data.
            device: where the source is.

        Returns:
            ``zero_shot`` of the record; None where the source's classes cannot name the target's.
        """
        if not speaks_of(self._source.classes, target.classes):
            return None
        return {"returns": [accuracy_by_name(self._source, target, self._size, device)]}

    def retention(
        self, network: nn.Module, classes: Sequence[str], state: Mapping[str, Tensor] | None
    ) -> dict[str, Json] | None:
        """The final network back on the source's test part, beside the source itself.

        Where the final head cannot name the source's classes, the source's own head is put back on
        the final trunk: what the trunk forgot.

        Args:
            network: the final network, on the CPU.
            classes: of its head.
            state: its tensors, if its trunk came from the source; None otherwise.

        Returns:
            ``retention`` of the record; None where it cannot be measured.
        """
        splits, source = self.splits, self._source
        if splits is None or not speaks_of(source.classes, splits.classes):
            return None
        source.module.to(CPU)
        own = speaks_of(classes, splits.classes)
        if own:
            module, names = network, classes
        elif state is not None:
            module, names = transplanted(source, state), source.classes or ()
        else:
            return None
        batches = Batches(splits.test, source.classifier.preprocessing)
        with measuring(module):
            after = predict(module, batches, self._size, CPU)
        return {
            "returns": [named_accuracy(after, names, splits.classes)],
            "source_returns": [accuracy_by_name(source, splits, self._size)],
            "head": "final" if own else "source",
        }

    def _open(self) -> Splits | None:
        data = self._source.data
        if data is None:
            return None
        try:
            return self._kind.split(data, *trained_with(self._source))
        except (ConfigError, MissingExtraError) as error:
            self.notes.append(
                f"the source's data are not at hand, so retention is not measured: {error.message}"
            )
            return None


def transplanted(source: Network, state: Mapping[str, Tensor]) -> nn.Module:
    """The source's network with its own head on another trunk, in evaluation mode.

    Args:
        source: gives architecture and head; unchanged.
        state: tensors of a network with the source's trunk.

    Returns:
        A network of its own.
    """
    module = copy.deepcopy(source.module)
    live = tensors_of(module)
    with torch.no_grad():
        for part in source.parts:
            for name in part.tensor_names if part.role == "trunk" else ():
                live[name].copy_(state[name])
    return module.eval()


def trained_with(network: Network) -> tuple[int, int]:
    """The seeds of the run that made a network: its test part is found again by them.

    Args:
        network: with its bundle's metadata.

    Returns:
        Root seed and seed index; (0, 0) for weights from elsewhere, and where the bundle says no integers.
    """
    address = network.metadata.get("seeds")
    found = address if isinstance(address, dict) else {}
    root, seed = (found.get(name, 0) for name in ("root_seed", "seed"))
    return (root, seed) if type(root) is int and type(seed) is int else (0, 0)


def accuracy_by_name(network: Network, splits: Splits, batch_size: int, device: torch.device = CPU) -> float:
    """Accuracy of a network on a test part whose classes it can name.

    Args:
        network: in evaluation mode or not; it is left as it was.
        splits: the data.
        batch_size: items per forward pass.
        device: where the network is.

    Returns:
        Share of the items whose class is named right.
    """
    batches = Batches(splits.test, network.classifier.preprocessing)
    with measuring(network.module):
        found = predict(network.module, batches, batch_size, device)
    return named_accuracy(found, network.classes or (), splits.classes)
