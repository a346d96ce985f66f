"""What one look of a seed plan sees of a sweep, and how it tests: in blocks, at its share of the level."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rl_transfer.analysis.comparison import Comparison, Judged
from rl_transfer.analysis.contrast import Contrast, Test, in_one_block, studentised
from rl_transfer.analysis.flags import Obstacle
from rl_transfer.analysis.model import CellKey
from rl_transfer.analysis.sequential import LookTaken, block_permutation_p, relabellings, weights
from rl_transfer.results.looks import Stages
from rl_transfer.spec import Analysis


@dataclass(frozen=True)
class LookDesign:
    """A look at a sweep.

    Attributes:
        looks: seeds per arm at every look of the plan.
        stages: the seeds that each look up to this one added.
        arms: how many of these stages each arm has taken part in.
        earlier: what the look before this one said of each cell.
        taken: whether all its runs have ended; before that nothing is judged.
    """

    looks: tuple[int, ...]
    stages: Stages
    arms: Mapping[CellKey, int]
    earlier: Mapping[CellKey, Mapping[Judged, Comparison]]
    taken: bool

    @property
    def weight(self) -> float:
        """Share of the level that this look may spend."""
        return weights(self.looks)[len(self.stages) - 1]

    @property
    def look(self) -> LookTaken:
        """This look, for those that are judged at it."""
        number = len(self.stages)
        shares = weights(self.looks)
        return LookTaken(number, len(self.looks), self.looks[number - 1], self.weight, sum(shares[:number]))

    def judged(self, entry: Comparison) -> Comparison:
        """A comparison with its look, and without advice on seeds that the next look brings anyway.

        Args:
            entry: of this look.
        """
        last = len(self.stages) == len(self.looks)
        return replace(entry, look=self.look, fresh_seeds=entry.fresh_seeds if last else None)

    def settings(self, given: Analysis) -> Analysis:
        """The analysis settings with the coverage of this look's intervals, 1 − α w.

        Args:
            given: as the sweep declares them.
        """
        return given.model_copy(update={"confidence": 1 - (1 - given.confidence) * self.weight})

    def seeds(self, key: CellKey) -> tuple[int, ...]:
        """Seeds that an arm must have.

        Args:
            key: the arm; one that is not of this look must have none.
        """
        return tuple(itertools.chain.from_iterable(self.stages[: self.arms.get(key, 0)]))

    def held(self, metric: Judged) -> dict[CellKey, Comparison]:
        """What earlier looks decided, which stays.

        Args:
            metric: the judged metric.

        Returns:
            Cell → its comparison, of the decided ones.
        """
        found = {key: entries[metric] for key, entries in self.earlier.items() if metric in entries}
        return {key: entry for key, entry in found.items() if not entry.is_open}

    @property
    def too_early(self) -> Obstacle:
        """Why nothing is judged before a look is taken."""
        seeds = self.looks[len(self.stages) - 1]
        reason = f"the look at {seeds} seeds is taken when all its runs have ended"
        return Obstacle("unfinished", reason, reason)

    def test(self, seeds: Mapping[str, int] | None, *, cells: int, q: float) -> Test:
        """The test of this look, which relabels runs within stages; a plan of one look has one block.

        Args:
            seeds: run → seed index; a run that it lacks counts with the last stage. None: source policies are
                compared, whose runs come in many stages; every look then relabels all that are there.
            cells: tests in the family.
            q: false-discovery rate.

        Returns:
            What gives p, not yet weighed.
        """
        if len(self.looks) == 1:
            return studentised() if seeds is None else in_one_block
        samples = relabellings(cells, q, weights(self.looks))
        if seeds is None:
            return studentised(samples)
        stage_of = {seed: place for place, stage in enumerate(self.stages) for seed in stage}
        last = len(self.stages) - 1
        places = {run: stage_of.get(seed, last) for run, seed in seeds.items()}

        def blocks(arm: Mapping[str, float]) -> list[list[float]]:
            found: list[list[float]] = [[] for _ in self.stages]
            for run, value in arm.items():
                found[places.get(run, last)].append(value)
            return found

        return lambda x, y, generator: block_permutation_p(blocks(x), blocks(y), generator, samples=samples)

    def weighed(self, pair: Contrast) -> Contrast:
        """A contrast with every p divided by the weight of this look, 1 at most.

        Args:
            pair: as :meth:`test` gives it.
        """
        p, within, low, high = (
            each if math.isnan(each) else min(1.0, each / self.weight)
            for each in (*_both_p(pair), *pair.beyond_p)
        )
        measured = None if pair.measured is None else self.weighed(pair.measured)
        return replace(pair, p=p, equivalence_p=within, beyond_p=(low, high), measured=measured)

    def repeated(self, pair: Contrast, key: CellKey, metric: Judged) -> Contrast:
        """A contrast with the smallest of either p so far, each divided by the weight of its look.

        Args:
            pair: as :meth:`weighed` gives it.
            key: the cell.
            metric: the judged metric.
        """
        before = self.earlier.get(key, {}).get(metric)
        return pair if before is None else with_smaller_p(pair, before)


def with_smaller_p(pair: Contrast, before: Contrast | Comparison) -> Contrast:
    """A contrast with the smaller of either p, its own and that of an earlier look.

    Args:
        pair: as :meth:`LookDesign.weighed` gives it.
        before: what the looks before it said of the same cell.
    """
    p, within = map(min, _both_p(pair), _both_p(before))
    return replace(pair, p=p, equivalence_p=within)


def _both_p(of: Contrast | Comparison) -> tuple[float, float]:
    return of.p, of.equivalence_p
