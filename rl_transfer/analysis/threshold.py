"""θ of the time to threshold: what it is on a target, and who said so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.metrics import final_performance
from rl_transfer.analysis.score_scale import score_scale
from rl_transfer.analysis.settings import read_number
from rl_transfer.wording import listing

Origin = Literal["declared", "task", "first look", "unknown"]


@dataclass(frozen=True)
class Threshold:
    """The J that a run must reach and hold; a constant of the target."""

    value: float
    """θ, in the measure's unit; NaN where there is none."""
    origin: Origin
    """Declared for the target, the task's own (the reward threshold), or fixed by the first look."""
    seeds: tuple[int, ...] = ()
    """Of the first look; empty for the others."""

    def told(self, name: str) -> str:
        """Where it comes from, for people.

        Args:
            name: of the task's own threshold, such as ``reward threshold``.

        Returns:
            A phrase; why there is none where there is none.
        """
        return {
            "declared": "declared",
            "task": f"the {name}",
            "first look": f"fixed by seeds {listing([str(seed) for seed in self.seeds], 5)}",
            "unknown": "none: no reference when seeds were first planned, and none is declared",
        }[self.origin]


def threshold_of(sweep: Sweep, target: str, scratch: Sequence[Run], random: Run | None) -> Threshold:
    """θ of a target: declared, else the task's reward threshold, else fixed at the first look.

    At the first look, θ = J_random + share · (J_ref − J_random), J_ref of the from-scratch runs whose seeds
    were planned first (``sweep.json`` keeps them). Seeds that come later do not move it; before all of
    the first have ended there is none.

    Args:
        sweep: config and first seeds.
        target: which.
        scratch: the rows of its from-scratch runs.
        random: its random-policy run.

    Returns:
        θ and its origin.
    """
    said: tuple[tuple[str, Origin], ...] = (("threshold", "declared"), ("reward_threshold", "task"))
    for key, origin in said:
        value = read_number(sweep.config, "targets", target, key)
        if value is not None:
            return Threshold(value, origin)
    first = {run.id: run for run in scratch if run.seed in sweep.first_look}.values()
    nothing = Threshold(math.nan, "unknown")
    if random is None or random.curve is None or any(run.problem == "unfinished" for run in first):
        return nothing
    share = sweep.settings.final_share
    finals = {run.id: final_performance(run.curve.means, share) for run in first if run.curve}
    scale = score_scale(np.concatenate(random.curve.returns), finals, sweep.settings, None, sweep.labels)
    if scale.is_raw:
        return nothing
    return Threshold(scale.threshold(sweep.settings.threshold_share), "first look", sweep.first_look)
