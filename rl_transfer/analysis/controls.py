"""Which control serves which cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from rl_transfer.analysis.model import CellKey, Kind
from rl_transfer.analysis.settings import StrategyInfo


@dataclass(frozen=True)
class Controls:
    """The controls of a sweep.

    Attributes:
        kinds: of every arm.
        strategies: by name.
    """

    kinds: Mapping[CellKey, Kind]
    strategies: Mapping[str, StrategyInfo]

    def of(self, key: CellKey) -> tuple[CellKey, ...]:
        """The controls that tell whether a cell's gain is knowledge.

        Args:
            key: of any arm.

        Returns:
            Those that name its strategy, and those that name nobody and freeze the same; of its source, or of
            none. Empty for all but transfer cells.
        """
        if self.kinds[key] != "transfer":
            return ()
        return tuple(other for other in self._on(key[1], "control") if self._serves(other, key))

    def beside(self, key: CellKey) -> Iterator[CellKey]:
        """The controls that go on with a cell in a seed plan.

        Args:
            key: of a transfer cell.

        Yields:
            Its own, and those on its target that serve no cell at all.
        """
        for other in self._on(key[1], "control"):
            if other[0] in (None, key[0]):
                served = [each for each in self._on(key[1], "transfer") if self._serves(other, each)]
                if key in served or not served:
                    yield other

    def _on(self, target: str, kind: Kind) -> tuple[CellKey, ...]:
        return self._places.get((target, kind), ())

    @cached_property
    def _places(self) -> dict[tuple[str, Kind], tuple[CellKey, ...]]:
        found: dict[tuple[str, Kind], tuple[CellKey, ...]] = {}
        for key, kind in self.kinds.items():
            found[key[1], kind] = (*found.get((key[1], kind), ()), key)
        return found

    def _serves(self, other: CellKey, key: CellKey) -> bool:
        """Named as control; a control that names nobody serves the same freeze mask."""
        if other[0] not in (None, key[0]):
            return False
        control, strategy = self.strategies[other[2]], self.strategies[key[2]]
        if control.control_for:
            return strategy.name in control.control_for
        return bool(control.freeze) and control.freeze == strategy.freeze
