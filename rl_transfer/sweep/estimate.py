"""How long a sweep will still take, from the runs that it has finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rl_transfer.results.view import Planned

FEW = 100
"""Waiting places of the matrix that are looked at one by one; with more, no single run decides the end."""

Place = tuple[str, str | None, str | None, str | None]


class Budgeted(Protocol):
    """A run of which the budget is known."""

    @property
    def total_steps(self) -> int:
        """Environment steps (epochs for images)."""


class Budgets(Protocol):
    """The runs of a sweep: a graph, or what is known of one from outside."""

    @property
    def specs(self) -> Mapping[str, Budgeted]:
        """Run id → its budget."""

    @property
    def rows_of(self) -> Mapping[str, Sequence[Planned]]:
        """Run id → the places of the matrix that it fills."""


@dataclass
class _Group:
    """The runs of one place of the matrix: what is known of their duration, and how many still wait."""

    seconds: float = 0.0
    finished: int = 0
    waiting: int = 0
    steps: int = 0

    @property
    def mean(self) -> float:
        return self.seconds / self.finished


class TimeLeft:
    """Counts what waits and what was finished: asking for the time left looks at no single waiting run.

    A run is taken to last as long as the finished ones in its place of the matrix (the same source, target
    and strategy, another seed), else as long as finished runs last per step of budget: an epoch of a frozen
    trunk costs a fraction of one of a whole network, and the start of a run costs more than either.

    Args:
        graph: the runs.
        workers: how many run at a time.

    Attributes:
        workers: how many run at a time; may change.
        begun: when each running run began, in monotonic seconds.
    """

    def __init__(self, graph: Budgets, workers: int) -> None:
        self._graph, self.workers = graph, workers
        self._groups: dict[Place, _Group] = defaultdict(_Group)
        self._waiting: dict[Place, _Group] = {}
        self.begun: dict[str, float] = {}
        self._known = 0.0
        self._unknown_steps = 0
        self._seconds = 0.0
        self._steps = 0

    def remember(self, other: TimeLeft) -> None:
        """Take over what is known of runs that were finished before, while nothing waits here.

        Args:
            other: of an earlier look at the same matrix.
        """
        self._seconds, self._steps = other._seconds, other._steps
        for place, group in other._groups.items():
            self._groups[place] = _Group(group.seconds, group.finished)

    def wait(self, identifier: str) -> None:
        """A run of this session waits.

        Args:
            identifier: of the run.
        """
        self._count(identifier, 1)

    def leave(self, identifier: str) -> None:
        """A run waits no more.

        Args:
            identifier: of the run.
        """
        self._count(identifier, -1)

    def begin(self, identifier: str, now: float) -> None:
        """A run began.

        Args:
            identifier: of the run.
            now: monotonic seconds.
        """
        self.begun[identifier] = now

    def drop(self, identifier: str) -> None:
        """A run failed, which says nothing of the others.

        Args:
            identifier: of the run.
        """
        del self.begun[identifier]

    def finish(self, identifier: str, seconds: float) -> None:
        """A run ended well.

        Args:
            identifier: of the run.
            seconds: how long it took.
        """
        del self.begun[identifier]
        self.learn(self._graph.specs[identifier].total_steps, seconds)
        self.learn_like(identifier, seconds)

    def learn(self, steps: int, seconds: float) -> None:
        """Some finished run took so long, whatever it was.

        Args:
            steps: its budget; a run without one says nothing of the others.
            seconds: how long it took.
        """
        if steps > 0:
            self._seconds += seconds
            self._steps += steps

    def learn_like(self, identifier: str, seconds: float) -> None:
        """A finished run took so long, and those in its place of the matrix are taken to.

        Args:
            identifier: of the finished run.
            seconds: how long it took.
        """
        group = self._groups[self._place(identifier)]
        self._weigh(group, -1)
        group.seconds += seconds
        group.finished += 1
        self._weigh(group, 1)

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last run ends.

        Args:
            now: monotonic seconds.

        Returns:
            None until a run with a budget has been finished in this session: nothing is known before.
        """
        if not self._steps:
            return None
        per_step = self._seconds / self._steps
        longest = [self._remaining(each, per_step, now) for each in self.begun]
        total = sum(longest) + self._known + per_step * self._unknown_steps
        if len(self._waiting) <= FEW:
            longest += [
                group.mean if group.finished else per_step * group.steps / group.waiting
                for group in self._waiting.values()
            ]
        return max([total / max(self.workers, 1), *longest])

    def _remaining(self, identifier: str, per_step: float, now: float) -> float:
        group = self._groups[self._place(identifier)]
        steps = self._graph.specs[identifier].total_steps
        expected = group.mean if group.finished else per_step * steps
        return max(expected - (now - self.begun[identifier]), 0.0)

    def _place(self, identifier: str) -> Place:
        row = self._graph.rows_of[identifier][0]
        return row.role, row.source, row.target, row.strategy

    def _count(self, identifier: str, change: int) -> None:
        place = self._place(identifier)
        group = self._groups[place]
        self._weigh(group, -1)
        group.waiting += change
        group.steps += change * self._graph.specs[identifier].total_steps
        self._weigh(group, 1)
        if group.waiting:
            self._waiting[place] = group
        else:
            del self._waiting[place]

    def _weigh(self, group: _Group, sign: int) -> None:
        """Add what waits in a group to the sums over all of them, or take it out before it changes."""
        if group.finished:
            self._known += sign * group.mean * group.waiting
        else:
            self._unknown_steps += sign * group.steps
