"""Scores of a source on a target, found before anything is trained: their names, and which way is up.

What each is, its unit and its source: docs/choosing-a-source.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rl_transfer.spec import Environment
from rl_transfer.spec.base import Json

PREDICTED = "predicted_gain"
"""The score that finished sweeps give, and no step of the target."""
HIGHER_IS_BETTER: Mapping[str, bool] = {
    "zero_shot_return": True,
    "context_distance": False,
    "dynamics_gap": False,
    "td_error": False,
    "representation_deviation": False,
    "logme": True,
    "leep": True,
    "linear_probe": True,
    "domain_gap": False,
    "source_quality": True,
    "source_budget": True,
    "state_coverage": True,
    PREDICTED: True,
}
"""Every score, in the order in which they are told → whether more of it promises more."""


@dataclass(frozen=True)
class TransferScore:
    """One score of a source on a target.

    Attributes:
        value: in the score's unit; None where it has none.
        reason: why it has none; empty where it has one.
        details: further numbers beside it, for the record.
    """

    value: float | None
    reason: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def of(cls, value: float, **details: Json) -> TransferScore:
        """A score with a value.

        Args:
            value: anything that is not finite is none.
            details: further numbers, by their names.

        Returns:
            With a value, or with the reason that it is not finite.
        """
        if not math.isfinite(value):
            return cls(None, f"it came out as {value}")
        return cls(float(value), "", details)

    @classmethod
    def none(cls, reason: str) -> TransferScore:
        """A score without a value.

        Args:
            reason: why, for people.
        """
        return cls(None, reason)

    def plain(self, name: str) -> dict[str, Json]:
        """As a record holds it.

        Args:
            name: of the score, a key of ``HIGHER_IS_BETTER``.

        Returns:
            ``value``, ``higher_is_better``, ``reason`` where there is no value, and the details.
        """
        found: dict[str, Json] = {"value": self.value, "higher_is_better": HIGHER_IS_BETTER[name]}
        if self.value is None:
            found["reason"] = self.reason
        return {**found, **self.details}


@dataclass(frozen=True)
class SourceScores:
    """What is known of a source on a target before anything is trained.

    Attributes:
        steps: samples of the target that were used: environment steps, labelled items.
        scores: name → score, those without a value included.
        returns: of the whole episodes that the source played in the target; RL only.
        lengths: of these, in environment steps.
        random_returns: of those that uniform-random actions played there; episode i begins as the source's.
        cannot_act: why the source as it is can do nothing in the target; empty where it can.
        notes: what was assumed, a sentence each.
    """

    steps: int
    scores: Mapping[str, TransferScore]
    returns: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    random_returns: tuple[float, ...] = ()
    cannot_act: str = ""
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Json]:
        """The record's ``source_scores``.

        Returns:
            ``steps``, ``scores`` and, where there are any, the returns of matched episodes.
        """
        named = {name: self.scores[name].plain(name) for name in HIGHER_IS_BETTER if name in self.scores}
        found: dict[str, Json] = {"steps": self.steps, "scores": {**named}}
        if self.returns or self.random_returns:
            found["returns"], found["random_returns"] = [*self.returns], [*self.random_returns]
        return found


@dataclass(frozen=True)
class ContextValues:
    """What an environment sets of its physics, as numbers.

    Attributes:
        base: the environment beneath, with its constructor arguments.
        values: parameter → value in its unit, or the multiple where defaults differ from element to element.
        defaults: parameter → the environment's own value, of those in ``values`` that have one.
    """

    base: str
    values: Mapping[str, float]
    defaults: Mapping[str, float]


Resolve = Callable[[Environment], ContextValues | str]
"""The context of an environment, or in words why it is no point."""
PredictGain = Callable[[Environment, Environment, Resolve], TransferScore]
"""What a source that was trained in the first environment will gain in the second one."""


@dataclass(frozen=True)
class ScoringRequest:
    """On what sources are scored, and what that may cost.

    Attributes:
        target: environment id, shipped target, YAML file; for classifiers a folder or YAML file of data.
        steps: samples of the target that each source may use, ≥ 1.
        seed: root seed.
        predict: what finished sweeps say of the gain; None without any. Policies only.
    """

    target: str
    steps: int
    seed: int = 0
    predict: PredictGain | None = None
