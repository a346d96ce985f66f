"""Success rates: which episodes count as successes, and intervals that know runs from episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval
from rl_transfer.analysis.beta_binomial import profile_limits
from rl_transfer.analysis.inputs import Curve
from rl_transfer.analysis.special import t_quantile
from rl_transfer.errors import StoreError
from rl_transfer.results.scores import is_number
from rl_transfer.spec import JsonObject
from rl_transfer.wording import shortened


@dataclass(frozen=True)
class SuccessRule:
    """When an episode on a target counts as a success."""

    least_return: float | None
    """The least return of a success; None: what the runs recorded."""

    def counts(self, curve: Curve, evaluations: int) -> tuple[int, int] | None:
        """Successes and episodes of a curve's last evaluations.

        Args:
            curve: of one run.
            evaluations: how many of the last ones count.

        Returns:
            Both numbers; None where the run did not record successes.
        """
        if self.least_return is not None:
            episodes = np.concatenate(curve.returns[-evaluations:])
            return int(np.count_nonzero(episodes >= self.least_return)), episodes.size
        if curve.successes is None:
            return None
        said = np.concatenate(curve.successes[-evaluations:])
        return int(said.sum()), said.size


def read_success(config: JsonObject, target: str) -> SuccessRule | None:
    """What a target counts as a success.

    Args:
        config: the config as ``sweep.json`` holds it.
        target: its name.

    Returns:
        The rule; None for a target that names none.

    Raises:
        StoreError: it is neither a finite return nor an entry of info.
    """
    said = ((config.get("targets") or {}).get(target) or {}).get("success")
    if said is None:
        return None
    least = said.get("return") if isinstance(said, Mapping) else None
    named = said.get("info") if isinstance(said, Mapping) else None
    if least is None and isinstance(named, str):
        return SuccessRule(None)
    if not is_number(least):
        raise StoreError(
            f"targets.{target}.success is a return or an entry of info, got {shortened(repr(said))}"
        )
    return SuccessRule(float(least))


def success_interval(counts: Mapping[int, tuple[int, int]], confidence: float) -> Interval:
    """Success rate over all episodes of some runs, with limits for episodes in clusters.

    Episodes of one run share its policy, so n of them tell less than n independent ones. The limits hold both
    of two sets. Wilson's interval at the effective number n* = p(1 − p) / SE², SE the standard error of the
    mean of the runs' rates, and with Student's t of K − 1 degrees of freedom in place of z; never with more
    than all n episodes. Where all runs have one rate (all succeed, or all fail) nothing tells how much they
    differ: n* is the number of runs. And the mean rates that a beta-binomial model of the runs does not
    contradict, which are skewed where the runs are: alone, Wilson's covers .86 to .91 where most runs succeed
    and one fails.

    Sources: Wilson 1927 (JASA 22:209–212); Korn & Graubard 1998 (Survey Methodology 24:193–201) on clusters;
    Griffiths 1973 (Biometrics 29:637–648).

    Args:
        counts: seed → successes and episodes of its run.
        confidence: coverage, in (0, 1).

    Returns:
        Rate and limits within [0, 1]; limits are NaN with fewer than two runs.
    """
    if not counts:
        return UNDEFINED
    hits, episodes = (float(sum(each)) for each in zip(*counts.values(), strict=True))
    rate, runs = hits / episodes, len(counts)
    if runs < 2:
        return Interval(rate, math.nan, math.nan)
    rates = np.array([successes / size for successes, size in counts.values()])
    error = float(rates.var(ddof=1)) / runs
    effective = min(episodes, rate * (1 - rate) / error) if error > 0 else float(runs)
    quantile = t_quantile((1 + confidence) / 2, runs - 1)
    wilson = _wilson(rate, effective, quantile)
    low, high = profile_limits(counts.values(), quantile)
    return Interval(rate, min(wilson.low, low), max(wilson.high, high))


def share_interval(hits: int, runs: int, confidence: float) -> Interval:
    """Share of runs of which something is true, with Wilson's score interval.

    >>> found = share_interval(0, 5, 0.95)  # z² / (n + z²)
    >>> found.point, found.low, round(found.high, 3)
    (0.0, 0.0, 0.434)

    Source: Wilson 1927, JASA 22:209–212.

    Args:
        hits: runs of which it is true.
        runs: all runs, independent of each other.
        confidence: coverage, in (0, 1).

    Returns:
        Share and limits within [0, 1]; NaN without runs.
    """
    z = t_quantile((1 + confidence) / 2, _NORMAL)
    return _wilson(hits / runs, float(runs), z) if runs else UNDEFINED


_NORMAL = 1e7
"""Degrees of freedom at which Student's quantiles are those of the normal distribution."""


def _wilson(rate: float, number: float, z: float) -> Interval:
    centre = (rate + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * math.sqrt(rate * (1 - rate) / number + (z / (2 * number)) ** 2)
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))
