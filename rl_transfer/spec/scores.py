"""Scores of sources on targets before anything is trained: what a suite, and one run, say of them."""

from __future__ import annotations

from rl_transfer.spec.base import Frozen, PositiveInt, Score


class Scores(Frozen):
    """That every source of a suite is scored on every target (docs/choosing-a-source.md)."""

    steps: PositiveInt = 2048
    """Samples of the target that a pair may use: environment steps, or labelled items."""


class PairScoring(Scores):
    """How one source is scored on one target."""

    bar: Score | None = None
    """The source's: what its own score is measured against; none: its environment's reward threshold."""
