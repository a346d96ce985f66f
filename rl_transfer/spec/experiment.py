"""What runs, sources, targets and single experiments of every kind share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from rl_transfer.spec.base import (
    LARGEST,
    Frozen,
    Json,
    JsonValue,
    KeyedValueError,
    Name,
    Score,
    ScoreRange,
    Seed,
)
from rl_transfer.spec.seeds import MOST_SEEDS
from rl_transfer.spec.strategy import StrategyVerbs

NOTHING: Mapping[str, Json] = MappingProxyType({})


class RunConfig(Frozen, ABC):
    """One run, completely: everything here can change its result, and its id is the hash of it."""

    kind: str
    policy: str
    """``trained`` by this run, ``random``, or something that exists already."""
    strategy: StrategyVerbs | None = None
    source: str | None = None
    """Run id of the source, or ``digest:…`` of a bundle that no run of ours made."""
    root_seed: Seed = 0
    seed: Seed = 0
    """Seed index: source seed i feeds target seed i."""

    @property
    @abstractmethod
    def total_steps(self) -> int:
        """The training budget in the kind's unit; 0 where nothing is trained."""

    @property
    def checkpoint_minutes(self) -> float:
        """Wall-clock minutes between two checkpoints of the run; 0: it has none."""
        return 0.0

    @abstractmethod
    def with_total_steps(self, steps: int) -> RunConfig:
        """The same run with another budget.

        Args:
            steps: in the kind's unit.

        Returns:
            A run with another id; one that trains nothing stays as it is.

        Raises:
            KeyedValueError: evaluations do not fit it.
        """


class SingleConfig(Frozen, ABC):
    """``rl-transfer train``: one run without a source policy."""

    kind: str
    """``rl``, ``image`` or ``text``."""
    name: Name
    """What it is called; without ``--output`` the results lie in ``results/NAME``."""
    summary: str = ""
    """One line for people."""
    root_seed: Seed = 0
    """Number that all random streams descend from."""
    seed: Seed = 0
    """Index of the run's own random streams."""

    @abstractmethod
    def run(self) -> RunConfig:
        """The run that this config describes.

        Returns:
            A from-scratch run, or one that starts from what the config itself names.
        """


class SingleTransferConfig(SingleConfig, ABC):
    """``rl-transfer transfer``: one run with one strategy, from a source."""

    @abstractmethod
    def transfer_run(self, source: str | None, described: Mapping[str, Json] = NOTHING) -> RunConfig:
        """The run of this config when it starts from a source.

        Args:
            source: the source's run id, or ``digest:…`` of a foreign bundle.
            described: what the source's bundle says of itself; the run may take over some of it.

        Returns:
            The run; its source is None where the strategy takes nothing from one.
        """


class SourceConfig(Frozen, ABC):
    """A source of a suite: a task to train on, or something that exists; the suite fills in the rest."""

    summary: str = ""
    """One line for people."""
    bar: Score | None = None
    """Score that a source must reach to be worth transferring; cells below it are flagged."""
    runs: int | None = Field(default=None, ge=1, le=MOST_SEEDS)
    """Source runs that are trained; the seeds take them in turn. None: each seed has one of its own."""

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Whether the source is taken as it is instead of being trained."""

    @model_validator(mode="after")
    def _check_runs(self) -> Self:
        if self.runs is not None and self.exists:
            raise KeyedValueError(
                "runs", "this source exists already and is one for all seeds; leave runs out"
            )
        return self

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what only some sources say: manifests stay as they were."""
        return without_runs(fields(self))


def without_runs(data: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A source written out, without a number of runs that it does not have.

    Args:
        data: the source's fields.
    """
    return {key: value for key, value in data.items() if key != "runs" or value is not None}


class TargetConfig(Frozen):
    """A target task of a suite; what it leaves out, the suite fills in."""

    summary: str = ""
    """One line for people."""
    reward_threshold: Score | None = None
    """Score at which the task counts as solved."""
    threshold: Score | None = None
    """Score that the time to threshold is measured to; none: ``reward_threshold``, else a share of the way
    from random to the reference, fixed by the seeds that are planned first."""
    raw_delta: float | None = Field(default=None, gt=0, le=LARGEST)
    """Half-width of the region of practical equivalence here, in the measure's unit; else the analysis'."""
    return_range: ScoreRange | None = None
    """The least and the greatest J that are possible here; else the analysis'."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what only some targets declare: manifests stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        return {key: value for key, value in data.items() if key not in DECLARED or value is not None}


DECLARED = ("threshold", "raw_delta", "return_range")
"""Keys of a target that only some declare."""
