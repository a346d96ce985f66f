"""Flags: what a reader must know before believing a cell. Flags never drop or change a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_transfer.analysis.arms import Arm, SourceInfo
from rl_transfer.analysis.guard import below_chance, left_chance
from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.metrics import GAINS, RunMetrics
from rl_transfer.analysis.mixture import code_mixtures
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.settings import StrategyInfo
from rl_transfer.analysis.source_policies import LEAST_POLICIES
from rl_transfer.results import PLAYED, Labels
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted, in_words, listing

_OF_TARGET = (
    "raw-returns", "reference-fallback", "wide-final-window", "baseline-below-chance", "wrong-return-range",
)  # fmt: skip
_SHARED_KNOBS = ("learning_starts", "exploration_initial_eps", "entropy", "target_networks")


@dataclass(frozen=True)
class Flag:
    """One reservation about a cell: a code for programs and a sentence for people."""

    code: str
    message: str
    pending: bool = False
    """Whether it says no more than that runs are still to come."""

    @property
    def of_control(self) -> bool:
        """Whether a control, or the lack of one, raises it: it concerns what a gain means, not its runs."""
        return self.code.startswith("control-") or self.code == "no-control"

    @property
    def of_target(self) -> bool:
        """Whether it speaks of the target's scale, the same for every strategy there."""
        return self.code in _OF_TARGET


def arm_flags(
    arm: Arm, scratch: Arm | None, source: SourceInfo | None, scale: ScoreScale, labels: Labels = PLAYED
) -> list[Flag]:
    """The flags of one cell that its runs alone give.

    Args:
        arm: the cell's runs.
        scratch: the from-scratch arm of the cell, if the sweep has one.
        source: the source that feeds the cell, if any.
        scale: the constants of the target's scores.
        labels: what the sweep's numbers are called.

    Returns:
        Flags in the order in which people should read them.
    """
    found = []
    missing = describe_missing(arm)
    if missing:
        pending = not _failed(arm)
        found.append(Flag("missing-runs", f"{missing}; the cell stays inconclusive", pending=pending))
    if source is not None and source.below:
        lowest = min(source.scores[seed] for seed in source.below)
        found.append(
            Flag(
                "source-below-bar",
                f"{len(source.below)} of {len(source.scores)} source {labels.networks} of {source.name} "
                f"are below the bar {source.bar:,.4g} (lowest {lowest:,.4g}): "
                "there may be little to transfer",
            )
        )
    late = [
        run
        for run in arm.runs
        if any(thaw["share"] is None for thaw in (run.record or {}).get("thaws") or ())
    ]
    if late:
        found.append(
            Flag(
                "incomplete-unfreezing",
                f"{len(late)} of {len(arm.runs)} runs ended before their last thaw: parts that the strategy "
                "unfreezes were never trained; shorten rollouts, lengthen the budget or thaw earlier",
            )
        )
    bounds = [
        each for run in arm.runs if (each := ((run.record or {}).get("knobs") or {}).get("action_bounds"))
    ]
    if bounds:
        found.append(
            Flag(
                "other-action-bounds",
                f"actions have other bounds on the target ({bounds[0]}): copied outputs are scaled or "
                "clipped to them, so the copy acts otherwise than the source; zero-shot keeps its own",
            )
        )
    found += _undecided_orders(arm)
    found += _shared_source(arm, labels)
    idle = [
        figures.guide_share
        for run, figures in zip(arm.runs, arm.metrics, strict=True)
        if math.isfinite(figures.guide_share) and not (run.record or {}).get("guide_learned_from")
    ]
    if idle:
        found.append(
            Flag(
                "guide-steps-not-learned-from",
                f"the guide took {max(idle):.0%} of the budget at most, and the learner could not learn from "
                "these steps; the from-scratch arm learned from all of its own",
            )
        )
    found += _seen_by_source(arm, labels)
    both = [*arm.runs, *(scratch.runs if scratch else ())]
    found += [Flag("versions", message) for message in code_mixtures(both)]
    found += _wide_window(arm)
    if scale.is_raw:
        note = "" if scale.tolerance.declared else "; declare raw_delta to judge relevance and equivalence"
        found.append(Flag("raw-returns", f"judged on raw {labels.values}: {scale.reason}{note}"))
    finals = scratch.by_run(GAINS["asymptotic_gain"]) if scratch else {}
    if below_chance(finals, scale):
        found.append(
            Flag(
                "baseline-below-chance",
                f"training from scratch ended at {np.mean([*finals.values()]):,.4g}, clearly below "
                f"{labels.the_chance} ({scale.random:,.4g}): a gain over it is no sign of a good "
                f"{labels.network}",
            )
        )
    if scale.contradiction:
        text = f"the declared return_range is wrong: {scale.contradiction}; no limit is cut by it"
        found.append(Flag("wrong-return-range", text))
    if scale.reason and not scale.is_raw:
        found.append(Flag("reference-fallback", f"the reference is the {scale.mode}: {scale.reason}"))
    return found


def _undecided_orders(arm: Arm) -> list[Flag]:
    """Whether runs were aligned by an order of actions that their samples do not decide."""
    open_ = [run.seed for run in arm.runs if _order_decided(run.record or {}) is False]
    if not open_:
        return []
    seeds = f"seed{'' if len(open_) == 1 else 's'} {listing(list(map(str, sorted(open_))))}"
    text = (
        f"in {len(open_)} of {counted(len(arm.runs), 'run')} ({seeds}) the order of actions is not decided: "
        "the likeliest one was taken, and a wrong one is worse than none. More pairs decide it; "
        "actions: none leaves the order alone"
    )
    return [Flag("undecided-order", text)]


def _order_decided(record: JsonObject) -> bool | None:
    """Whether an order of actions was decided; None where none was sought among true samples."""
    alignment = record.get("alignment")
    if not isinstance(alignment, dict) or alignment.get("shuffled"):
        return None
    actions = alignment.get("actions")
    decided = actions.get("decided") if isinstance(actions, dict) else None
    return decided if isinstance(decided, bool) else None


def _shared_source(arm: Arm, labels: Labels) -> list[Flag]:
    """Whether source policies feed several runs each, and what is claimed then."""
    sources = arm.sources
    if sources is None or not sources.shared:
        return []
    runs = len(sources.of_run)
    networks = f"{sources.count} source {labels.network if sources.count == 1 else labels.networks}"
    if sources.pooled:
        text = f"{networks} feed {runs} runs: each counts once, with the mean over its runs"
        return [Flag("shared-source", text)]
    which = "this checkpoint" if sources.count == 1 else "these checkpoints"
    feed = "feeds" if sources.count == 1 else "feed"
    text = (
        f"{networks} {feed} {runs} runs: what is found holds for {which}, not for other {labels.networks} of "
        f"{arm.source}, which would take at least {LEAST_POLICIES}"
    )
    return [Flag("checkpoint", text)]


def _wide_window(arm: Arm) -> list[Flag]:
    """Whether the final performance is more than a third of the curve: one of two evaluations is."""
    if arm.steps is None or len(arm.steps) != 2:
        return []
    text = "the final performance is one of two evaluations, half of the curve; evaluate more often"
    return [Flag("wide-final-window", text)]


def _seen_by_source(arm: Arm, labels: Labels) -> list[Flag]:
    """Whether the source was trained on what the arm is measured on."""
    known = [each for run in arm.runs if (each := (run.record or {}).get("seen_by_source"))]
    worst = max(known, key=lambda each: each["seen"], default=None)
    if worst is None or not worst["seen"]:
        return []
    text = (
        f"the source was trained on {worst['seen']} of the {worst['items']} {labels.samples}: "
        "a gain there may be memory, not transfer; give the source other data"
    )
    return [Flag("test-seen-by-source", text)]


def control_knobs(arm: Arm, control: Arm) -> list[Flag]:
    """Whether an arm and its control trained with the same knobs.

    Args:
        arm: runs of a strategy.
        control: the runs that its gain is checked by.

    Returns:
        One flag that names the differences, or none.
    """
    mine, theirs = (_knobs(each) for each in (arm, control))
    if not theirs:
        return []
    apart = [
        f"{name} {theirs.get(name, 'unset')} ({mine[name]} here)"
        for name in mine
        if theirs.get(name) != mine[name]
    ]
    if not apart:
        return []
    text = f"its control {control.strategy} trained with other knobs: {', '.join(apart)}"
    return [Flag("control-knobs", text)]


def no_control(strategy: StrategyInfo) -> list[Flag]:
    """Whether a strategy that takes anything from a source stands without a control.

    Args:
        strategy: that no control of the sweep serves.

    Returns:
        One flag, or none.
    """
    if not strategy.uses_source:
        return []
    text = (
        "without a control nobody can tell knowledge of the source from what its architecture, scale or "
        "frozen parts do alone; add one: shuffled-source is that of fine-tune, else the same strategy with "
        f"initial: {{kind: shuffled}}, control: true and control_for: [{strategy.name}]"
    )
    return [Flag("no-control", text)]


def _knobs(arm: Arm) -> dict[str, object]:
    """What the first finished run recorded of the knobs that a control shares; empty without any."""
    knobs = next(((run.record or {}).get("knobs") for run in arm.runs), None) or {}
    found = {name: knobs[name] for name in _SHARED_KNOBS if name in knobs}
    normalization = knobs.get("normalization", "none")
    return {**found, "normalization": normalization} if knobs else {}


def describe_missing(arm: Arm) -> str:
    """``2 of 5 fine-tune runs missing (seed 3 failed: …; seed 4 unfinished)``.

    Args:
        arm: the runs of one (source, target, strategy).

    Returns:
        The phrase; empty if the arm is complete.
    """
    if arm.complete:
        return ""
    named = listing([f"seed {seed} {problem}" for seed, problem in arm.problems.items()], 3, "; ")
    return f"{len(arm.problems)} of {len(arm.seeds)} {arm.strategy} runs missing ({named})"


State = Literal["failed", "unfinished", "incomparable", "chance"]


@dataclass(frozen=True)
class Obstacle:
    """Why a cell may not get a verdict, whatever its numbers say."""

    state: State
    """``failed`` where any run that it needs failed, was damaged, or was skipped for a failed source;
    ``chance`` where no arm is clearly above the random policy."""
    short: str
    """For headlines: ``1 of 5 fine-tune runs failed``."""
    reason: str
    """In full, with seeds and messages."""


def obstacle(arm: Arm, scratch: Arm | None, random_problem: str | None, sweep: Sweep) -> Obstacle | None:
    """Why a cell may not get a verdict: completeness and comparability come first.

    Args:
        arm: the cell's runs.
        scratch: the from-scratch arm on the same target, if the sweep has one.
        random_problem: what is wrong with the random-policy run of the target, if anything.
        sweep: names the from-scratch strategy, and chance.

    Returns:
        The obstacle; None if a verdict may be given.
    """
    if scratch is None:
        reason = f"the sweep has no {sweep.baseline} runs on this target"
        return Obstacle("incomparable", reason, reason)
    gaps = [each for each in (arm, scratch) if not each.complete]
    if gaps:
        state: State = "failed" if any(_failed(each) for each in gaps) else "unfinished"
        return Obstacle(
            state,
            "; ".join(_shortly(each) for each in gaps),
            "; ".join(describe_missing(each) for each in gaps),
        )
    if random_problem is not None:
        state = "failed" if is_failure(random_problem) else "unfinished"
        run = f"the {sweep.labels.zero} run"
        reason = f"{run} of this target is not usable ({random_problem})"
        return Obstacle(state, f"{run} {'' if state == 'failed' else 'is '}{state}", reason)
    if arm.steps is None or arm.steps != scratch.steps:
        reason = "the two arms were not evaluated at the same steps"
        return Obstacle("incomparable", reason, reason)
    return None


def no_arm_left_chance(
    arm: Arm, scratch: Arm | None, figure: Callable[[RunMetrics], float], scale: ScoreScale, labels: Labels
) -> Obstacle | None:
    """Whether neither arm of a cell is clearly above the random policy: then there is nothing to compare.

    Args:
        arm: the cell's runs.
        scratch: the from-scratch arm on the same target, if the sweep has one.
        figure: what is judged.
        scale: of the target.
        labels: what the sweep's numbers are called.

    Returns:
        The obstacle; None where an arm left chance, or the random policy was not measured.
    """
    arms = [each for each in (arm, scratch) if each is not None and each.runs]
    if (
        math.isnan(scale.random)
        or not arms
        or any(left_chance(each.observations(figure), scale) for each in arms)
    ):
        return None
    means = in_words(
        [f"{each.strategy} {np.mean([*each.observations(figure).values()]):,.4g}" for each in arms]
    )
    return Obstacle(
        "chance",
        f"no better than {labels.the_chance}, from scratch neither",
        f"no arm left chance: {means} against {scale.random:,.4g} of {labels.the_chance}",
    )


def is_failure(problem: str) -> bool:
    """Whether a run's problem is that it failed, and not that it is still to come.

    Args:
        problem: as in :attr:`rl_transfer.analysis.Run.problem`.
    """
    return problem not in ("unfinished", "not planned")


def _failed(arm: Arm) -> int:
    return sum(is_failure(problem) for problem in arm.problems.values())


def _shortly(arm: Arm) -> str:
    """``2 of 5 fine-tune runs failed, 1 unfinished``."""
    failed = _failed(arm)
    open_ = len(arm.problems) - failed
    total = f"of {len(arm.seeds)} {arm.strategy} runs"
    if not failed:
        return f"{open_} {total} unfinished"
    return f"{failed} {total} failed{f', {open_} unfinished' if open_ else ''}"
