"""Normalised scores: what 0 and 1 mean on a target, and what to do where 1 has no meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray, Values, as_values
from rl_transfer.analysis.tolerance import UNDECLARED, Tolerance
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
    """What 0 and 1 mean on one target: score = (J − random) / (reference − random).

    In mode ``raw`` there is no usable reference: scores are NaN. Verdicts speak of raw differences
    everywhere.
    """

    mode: Mode
    random: float
    """J of the uniform-random policy; NaN if it was not measured."""
    reference: float
    """J that scores 1; NaN in mode ``raw``."""
    tolerance: Tolerance
    """δ of the target."""
    reason: str = ""
    """Why the configured reference could not be used; empty if it is."""
    random_returns: tuple[float, ...] = ()
    """What ``random`` is the mean of, one per episode."""
    finals: Mapping[str, float] = field(default_factory=dict)
    """Run → final performance of each from-scratch run, the mean of which is the reference of that mode."""
    best: float = math.nan
    """The best J(t_k) of any run on the target; NaN without runs."""
    possible: tuple[float, float] = (-math.inf, math.inf)
    """The least and the greatest J that are possible; infinite where none is declared, or a wrong one."""
    contradiction: str = ""
    """What J was seen outside of what is declared possible; empty if none."""

    @property
    def is_raw(self) -> bool:
        """Whether verdicts speak of raw differences."""
        return self.mode == "raw"

    @property
    def span(self) -> float:
        """Reference − random: the return worth one unit of score; NaN if raw."""
        return self.reference - self.random

    @property
    def raw_delta(self) -> float:
        """δ in the measure's unit; estimated where it is a share of what training from scratch gains."""
        return self.tolerance.share * self.span if self.tolerance.share else self.tolerance.raw

    @property
    def likeness(self) -> float:
        """Runs within twice this are alike: δ, else a share of the way from random to the best J seen."""
        if self.tolerance.declared:
            return self.raw_delta
        reach = self.tolerance.of_best * (self.best - self.random)
        return reach if reach > 0 else 0.0

    @property
    def delta(self) -> float:
        """δ in scores; in the measure's unit if raw."""
        return self.raw_delta if self.is_raw else self.raw_delta / self.span

    @property
    def random_error(self) -> float:
        """Standard error of ``random`` over episodes."""
        return standard_error(np.array(self.random_returns))

    @property
    def reference_error(self) -> float:
        """Standard error of ``reference`` over from-scratch runs; 0 where it is declared."""
        return standard_error(np.array([*self.finals.values()])) if self.mode == "scratch" else 0.0

    def within(self, possible: tuple[float, float], seen: FloatArray) -> ScoreScale:
        """The scale with what is possible on the target, unless a run shows that this is wrong.

        Args:
            possible: the least and the greatest J, as declared.
            seen: every J on the target, array [n]; NaN where nothing was measured.

        Returns:
            Limits are cut by no range that a J lies outside of.
        """
        low, high = possible
        slack = 1e-9 * (high - low) if math.isfinite(high - low) else 0.0
        outside = seen[(seen < low - slack) | (seen > high + slack)]
        if not outside.size:
            return replace(self, possible=possible)
        farthest = float(outside[np.argmax(np.maximum(low - outside, outside - high))])
        return replace(self, contradiction=f"{farthest:,.4g} was seen, outside of [{low:,.4g}, {high:,.4g}]")

    def score(self, returns: FloatArray | float) -> FloatArray:
        """Normalised scores: 0 is the random policy, 1 the reference.

        >>> float(ScoreScale("number", 20.0, 100.0, Tolerance(4.0)).score(60.0))
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
    finals: Mapping[str, float],
    settings: Analysis,
    reward_threshold: float | None = None,
    labels: Labels = PLAYED,
) -> ScoreScale:
    """The constants of one target, still without its δ.

    The reference is the one configured; if it is not clearly above random, the environment's
    ``reward_threshold``; failing that, there are no scores.

    *Clearly above* means: by more than two standard errors (of the from-scratch arm's mean over seeds and
    of random's over episodes, combined), and for the from-scratch arm at least a twentieth of the way from
    random to the threshold where there is one. A from-scratch arm that never left chance therefore
    does not become a denominator.

    Args:
        random_returns: returns of the random policy, one per episode; empty if not measured.
        finals: run → final performance, of each from-scratch run; may be empty.
        settings: the sweep's analysis settings.
        reward_threshold: the target's threshold, if it has one.
        labels: what the sweep's numbers are called.

    Returns:
        The constants, the mode that was possible, and why it is not the one configured.
    """
    random = as_values(random_returns, "random_returns")
    scratch = as_values([*finals.values()], "finals")
    base = float(random.mean()) if random.size else math.nan
    reasons = [] if random.size else [f"{labels.the_chance} was not measured"]
    scale = ScoreScale(
        "raw", base, math.nan, UNDECLARED, random_returns=tuple(random.tolist()), finals=dict(finals)
    )
    for mode, reference, error in _candidates(scratch, settings, reward_threshold, labels):
        error = math.hypot(error, standard_error(random))
        doubt = _doubt(mode, reference, base, error, reward_threshold, labels)
        if random.size and doubt is None:
            return replace(scale, mode=mode, reference=reference, reason="; ".join(reasons))
        if doubt is not None:
            reasons.append(doubt)
    return replace(scale, reason="; ".join(reasons))


def _candidates(
    scratch: FloatArray, settings: Analysis, threshold: float | None, labels: Labels
) -> Iterator[tuple[Mode, float, float]]:
    """(mode, reference, its standard error), in order of preference."""
    if settings.reference == "scratch":
        yield "scratch", float(scratch.mean()) if scratch.size else math.nan, standard_error(scratch)
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


def standard_error(x: FloatArray) -> float:
    """Standard error of the mean of independent values; 0 of fewer than two, which count as known.

    Args:
        x: values, array [n].
    """
    return float(x.std(ddof=1)) / math.sqrt(x.size) if x.size > 1 else 0.0
