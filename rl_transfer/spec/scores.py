"""Scores of sources on targets before anything is trained: what a suite, and one run, say of them."""

from __future__ import annotations

from typing import Annotated

from rl_transfer.spec.base import Frozen, PositiveInt, Score, at_most

MOST_SAMPLES = 1_000_000
"""Of the target that a pair may use."""


class Scores(Frozen):
    """That every source of a suite is scored on every target (docs/choosing-a-source.md)."""

    steps: Annotated[PositiveInt, at_most(MOST_SAMPLES, "all are kept in memory")] = 2048
    """Samples of the target that a pair may use: environment steps, or labelled items."""


class PairScoring(Scores):
    """How one source is scored on one target."""

    bar: Score | None = None
    """The source's: what its own score is measured against; none: its environment's reward threshold."""
