"""Which source policies fed the runs of an arm: what counts as one observation, and what may be claimed.

Run r of arm j from source policy i ends at J_ijr = μ_j + a_i + b_ij + e_ijr. Runs of one policy share a_i
and b_ij, so that they are no independent observations of what policies of the source task do on the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval, as_values, exact_mean
from rl_transfer.analysis.inputs import Run
from rl_transfer.analysis.intraclass import intraclass_correlation
from rl_transfer.spec.seeds import LEAST_SEEDS
from rl_transfer.wording import counted

Estimand = Literal["source task", "checkpoint"]
Value = TypeVar("Value")

LEAST_POLICIES = LEAST_SEEDS
"""With fewer policies than this, each feeding several runs, nothing is said of their task."""
_UNRECORDED = "not recorded"


@dataclass(frozen=True)
class SourcePolicies:
    """The source policy of each planned run of an arm."""

    of_run: Mapping[str, str]
    """Run id → id of the run that made, or took in, the policy that fed it."""

    @cached_property
    def count(self) -> int:
        """Distinct policies that are recorded; one at least."""
        return max(1, len({*self.of_run.values()} - {_UNRECORDED}))

    @property
    def shared(self) -> bool:
        """Whether a policy feeds more than one run."""
        return self.count < len(self.of_run)

    @property
    def estimand(self) -> Estimand:
        """What the arm's mean estimates: that of all policies of the source task, or of these alone."""
        return "checkpoint" if self.shared and self.count < LEAST_POLICIES else "source task"

    @property
    def mark(self) -> str:
        """``this checkpoint``, ``these 2 checkpoints``; empty where claims are about the source task."""
        if self.estimand == "source task":
            return ""
        return "this checkpoint" if self.count == 1 else f"these {counted(self.count, 'checkpoint')}"

    @property
    def pooled(self) -> bool:
        """Whether the mean over its runs makes each policy one observation."""
        return self.shared and self.estimand == "source task"

    def groups(self, values: Mapping[str, Value]) -> dict[str, list[Value]]:
        """What each policy's runs have.

        Args:
            values: run id → anything.

        Returns:
            Policy → the values of its runs, policies by their first run.
        """
        found: dict[str, list[Value]] = {}
        for run, value in values.items():
            found.setdefault(self.of_run.get(run, _UNRECORDED), []).append(value)
        return found

    def clusters(self, runs: Iterable[str]) -> list[int]:
        """Which runs one policy feeds.

        Args:
            runs: run ids.

        Returns:
            Number of the policy of each, from 0.
        """
        numbers: dict[str, int] = {}
        return [numbers.setdefault(self.of_run.get(run, _UNRECORDED), len(numbers)) for run in runs]

    def observations(self, values: Mapping[str, float]) -> dict[str, float]:
        """Independent observations of the arm: of each policy the mean over its runs, else the runs.

        Args:
            values: run id → figure, in any unit.

        Returns:
            Name of the observation → figure. A policy never has the name of a run: the run that made it may
            be a from-scratch run of another arm.
        """
        if not self.pooled:
            return dict(values)
        return self._means(values)

    def _means(self, values: Mapping[str, float]) -> dict[str, float]:
        groups = self.groups(values)
        return {f"policy {name}": exact_mean(as_values(group)) for name, group in groups.items()}

    def by_policy(self, values: Mapping[str, float]) -> dict[str, float] | None:
        """What each policy makes of a figure: the mean over its runs, where claims are about the source task.

        Args:
            values: run id → figure, in any unit.

        Returns:
            Name of the policy → figure; None where policies are too few, or a run's policy is not recorded.
        """
        if self.estimand == "checkpoint" or _UNRECORDED in self.groups(values):
            return None
        return self._means(values)

    def fed(self, values: Mapping[str, float], confidence: float) -> Fed:
        """What is told of these policies beside a comparison.

        Args:
            values: run id → the compared figure.
            confidence: coverage of the interval of the intraclass correlation, in (0, 1).
        """
        groups = [*self.groups(values).values()]
        correlation = intraclass_correlation(groups, confidence) if self.shared else UNDEFINED
        return Fed(self.count, len(self.of_run), self.estimand, self.mark, self.pooled, correlation)


@dataclass(frozen=True)
class Fed:
    """The source policies behind one comparison."""

    policies: int
    runs: int
    estimand: Estimand
    mark: str
    """As :attr:`SourcePolicies.mark`."""
    pooled: bool
    """Whether policies, and not runs, were compared."""
    correlation: Interval
    """Intraclass correlation of runs of one policy; undefined where no policy feeds two runs."""


def policies_of(rows: Sequence[Run]) -> SourcePolicies | None:
    """The source policies of the planned runs of an arm.

    A finished run's record names its policy, else the manifest says what a run needs. Runs of which neither
    does, in an arm where others do, are taken together; they may be of any of its policies, and raise their
    number by none.

    Args:
        rows: of one (source, target, strategy), finished or not.

    Returns:
        Run → policy; None where no run is fed by any.
    """
    said = {run.id: (run.record or {}).get("source_run") or next(iter(run.needs), None) for run in rows}
    if not any(said.values()):
        return None
    return SourcePolicies({run: str(policy or _UNRECORDED) for run, policy in said.items()})
