"""From-scratch runs that have the source's budget too: would its steps be better spent on the target?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis.arm_statistics import benjamini_hochberg
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.attribution import Key, Summand
from rl_transfer.analysis.contrast import Contrast
from rl_transfer.analysis.flags import describe_missing
from rl_transfer.analysis.metrics import GAINS
from rl_transfer.analysis.verdict import Evidence, Verdict, decide


@dataclass(frozen=True)
class BesideLonger:
    """A strategy's final performance beside that of training from scratch for the source's steps too."""

    strategy: str
    """Name of the longer training."""
    steps: float
    """Its budget; NaN before a run is finished."""
    final: float
    """Its mean final performance, in the measure's unit."""
    over: Summand
    """Strategy − longer training."""
    adjusted_p: float
    verdict: Verdict
    """Positive: the strategy ends above it."""
    problem: str = ""
    """Why they cannot be compared, if anything."""


@dataclass(frozen=True)
class Rival:
    """What is compared for one cell."""

    longer: Arm
    pair: Contrast
    delta: float
    """In the measure's unit, for words."""
    problem: str
    """What the cell itself lacks; empty if nothing."""


def beside_longer(rivals: Mapping[Key, Rival], q: float) -> dict[Key, BesideLonger]:
    """Every strategy beside the longer training of its target, by the rules of a verdict, corrected together.

    Args:
        rivals: of the transfer cells whose target has such runs.
        q: false-discovery rate.

    Returns:
        What is found of each; inconclusive where runs are missing, which count with p = 1.
    """
    problems = {key: each.problem or describe_missing(each.longer) for key, each in rivals.items()}
    blocked = {key for key, each in rivals.items() if problems[key] or math.isnan(each.pair.p)}
    both = [
        (1.0, 1.0) if key in blocked else (each.pair.p, each.pair.equivalence_p)
        for key, each in rivals.items()
    ]
    adjusted = [benjamini_hochberg([p[place] for p in both]).tolist() for place in (0, 1)]
    found = {}
    for (key, each), p, within in zip(rivals.items(), *adjusted, strict=True):
        pair = each.pair
        evidence = Evidence(pair.raw, pair.relevance, p, within, pair.runs)
        verdict, _ = decide(evidence, delta=each.delta, q=q, obstacle=problems[key] or None)
        finals = [*each.longer.by_run(GAINS["asymptotic_gain"]).values()]
        found[key] = BesideLonger(
            each.longer.strategy,
            each.longer.budget,
            float(np.mean(finals)) if finals else math.nan,
            Summand(pair.gain, pair.raw, pair.p),
            p,
            verdict,
            problems[key],
        )
    return found
