"""Normalised scores: what 0 and 1 mean on a target, and what to do where 1 has no meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray, Values, as_values
from rl_transfer.results import PLAYED, Labels
from rl_transfer.spec import Analysis

Mode = Literal["scratch", "threshold", "number", "raw"]

CLEAR_ERRORS = 2.0
"""A reference is clearly above random when it leads by more than this many standard errors."""
LEAST_LEAD = 1e-12
"""… and by more than this, in the measure's unit: less is rounding, and scores would overflow."""
CLEAR_SHARE = 0.05
"""… and, for the from-scratch arm, by at least this share of the way from random to the threshold."""


@dataclass(frozen=True)
class ScoreScale:
    """The constants of one target: score = (J − random) / (reference − random).

    Both constants are treated as fixed, and shown. In mode ``raw`` there is no usable reference: scores are
    NaN, and verdicts speak of raw differences with ``delta`` in units of the measure.
    """

    mode: Mode
    random: float
    """J of the uniform-random policy; NaN if it was not measured."""
    reference: float
    """J that scores 1; NaN in mode ``raw``."""
    delta: float
    """Half-width of the region of practical equivalence: in scores, or in the measure's unit if raw."""
    reason: str = ""
    """Why the configured reference could not be used; empty if it is."""
    delta_declared: bool = True
    """False in mode ``raw`` without ``raw_delta``: delta is then 0 and equivalence can hardly be shown."""

    @property
    def is_raw(self) -> bool:
        """Whether verdicts speak of raw differences."""
        return self.mode == "raw"

    @property
    def span(self) -> float:
        """Reference − random: the return worth one unit of score; NaN if raw."""
        return self.reference - self.random

    def score(self, returns: FloatArray | float) -> FloatArray:
        """Normalised scores: 0 is the random policy, 1 the reference.

        >>> float(ScoreScale("number", random=20.0, reference=100.0, delta=0.05).score(60.0))
        0.5

        Args:
            returns: J or single returns, in the measure's unit; any shape.

        Returns:
            Scores of the same shape; NaN if raw.
        """
        scores: FloatArray = (np.asarray(returns, dtype=np.float64) - self.random) / self.span
        return scores

    def threshold(self, share: float) -> float:
        """θ = random + share · (reference − random), a return; NaN if raw.

        Args:
            share: of the way from random to the reference.
        """
        return self.random + share * self.span


def score_scale(
    random_returns: Values,
    scratch_finals: Values,
    settings: Analysis,
    reward_threshold: float | None = None,
    labels: Labels = PLAYED,
) -> ScoreScale:
    """The constants of one target.

    The reference is the one configured; if it is not clearly above random, the environment's
    ``reward_threshold``; failing that, raw returns with the declared ``raw_delta``.

    *Clearly above* means: by more than two standard errors (of the from-scratch arm's mean over seeds and
    of random's over episodes, combined), and for the from-scratch arm at least a twentieth of the way from
    random to the threshold where there is one. A from-scratch arm that never left chance therefore
    does not become a denominator.

    Args:
        random_returns: returns of the random policy, one per episode; empty if not measured.
        scratch_finals: final performance of the from-scratch arm, one per seed; may be empty.
        settings: the sweep's analysis settings.
        reward_threshold: the target's threshold, if it has one.
        labels: what the sweep's numbers are called.

    Returns:
        The constants, the mode that was possible, and why it is not the one configured.
    """
    random, scratch = as_values(random_returns, "random_returns"), as_values(scratch_finals, "scratch_finals")
    base = float(random.mean()) if random.size else math.nan
    reasons = [] if random.size else [f"{labels.the_chance} was not measured"]
    for mode, reference, error in _candidates(scratch, settings, reward_threshold, labels):
        error = math.hypot(error, _standard_error(random))
        doubt = _doubt(mode, reference, base, error, reward_threshold, labels)
        if random.size and doubt is None:
            return ScoreScale(mode, base, reference, settings.delta, "; ".join(reasons))
        if doubt is not None:
            reasons.append(doubt)
    declared = settings.raw_delta is not None
    return ScoreScale(
        "raw", base, math.nan, settings.raw_delta or 0.0, "; ".join(reasons), delta_declared=declared
    )


def _candidates(
    scratch: FloatArray, settings: Analysis, threshold: float | None, labels: Labels
) -> Iterator[tuple[Mode, float, float]]:
    """(mode, reference, its standard error), in order of preference."""
    if settings.reference == "scratch":
        yield "scratch", float(scratch.mean()) if scratch.size else math.nan, _standard_error(scratch)
    elif not isinstance(settings.reference, str):
        yield "number", float(settings.reference), 0.0
    if threshold is not None or labels.threshold:
        yield "threshold", math.nan if threshold is None else threshold, 0.0


def _doubt(
    mode: Mode, reference: float, random: float, error: float, threshold: float | None, labels: Labels
) -> str | None:
    """What speaks against ``reference``, or None."""
    if math.isnan(reference):
        missing = {
            "scratch": "no from-scratch run is finished",
            "threshold": f"no {labels.threshold} is known",
        }
        return missing[mode]
    label = {
        "scratch": "from scratch",
        "threshold": f"the {labels.threshold}",
        "number": "the given reference",
    }
    if math.isnan(random):
        return None
    lead = reference - random
    if lead <= max(CLEAR_ERRORS * error, LEAST_LEAD):
        return f"{label[mode]} ({reference:,.4g}) is not clearly above {labels.the_chance} ({random:,.4g})"
    if mode == "scratch" and threshold is not None and lead < CLEAR_SHARE * (threshold - random):
        return (
            f"from scratch ({reference:,.4g}) covers less than {CLEAR_SHARE:.0%} of the way from "
            f"{labels.the_chance} ({random:,.4g}) to the {labels.threshold} ({threshold:,.4g})"
        )
    return None


def _standard_error(x: FloatArray) -> float:
    return float(x.std(ddof=1)) / math.sqrt(x.size) if x.size > 1 else 0.0
