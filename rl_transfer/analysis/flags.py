"""Flags: what a reader must know before believing a cell. Flags never drop or change a number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.analysis.arms import Arm, SourceInfo
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.results import PLAYED, Labels
from rl_transfer.wording import listing


@dataclass(frozen=True)
class Flag:
    """One reservation about a cell: a code for programs and a sentence for people."""

    code: str
    message: str

    @property
    def of_control(self) -> bool:
        """Whether a control raises it, which concerns the gain's meaning and not its runs."""
        return self.code.startswith("control-")

    @property
    def of_target(self) -> bool:
        """Whether it speaks of the target's scale, the same for every strategy there."""
        return self.code in ("raw-returns", "reference-fallback")


def arm_flags(
    arm: Arm, scratch: Arm | None, source: SourceInfo | None, scale: ScoreScale, labels: Labels = PLAYED
) -> list[Flag]:
    """The flags of one cell that its runs alone give.

    Args:
        arm: the cell's runs.
        scratch: the from-scratch arm on the same target, if the sweep has one.
        source: the source that feeds the cell, if any.
        scale: the constants of the target's scores.
        labels: what the sweep's numbers are called.

    Returns:
        Flags in the order in which people should read them.
    """
    found = []
    missing = describe_missing(arm)
    if missing:
        found.append(Flag("missing-runs", f"{missing}; the cell stays inconclusive"))
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
    fed = arm.source_runs
    if arm.source is not None and len(fed) > 1 and len({*fed}) < len(fed):
        found.append(
            Flag(
                "shared-source",
                f"{len({*fed})} source {labels.networks} feed {len(fed)} runs: the interval leaves out "
                "the spread over sources",
            )
        )
    both = [*arm.runs, *(scratch.runs if scratch else ())]
    found += [Flag("versions", message) for message in version_mismatches(both)]
    if scale.is_raw:
        note = (
            "" if scale.delta_declared else "; declare analysis.raw_delta to judge relevance and equivalence"
        )
        found.append(Flag("raw-returns", f"judged on raw {labels.values}: {scale.reason}{note}"))
    elif scale.reason:
        found.append(Flag("reference-fallback", f"the reference is the {scale.mode}: {scale.reason}"))
    return found


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


def version_mismatches(runs: Iterable[Run]) -> list[str]:
    """One sentence per library that ran in more than one version among ``runs``.

    Args:
        runs: finished or not; those without a record say nothing.

    Returns:
        Sentences, by library.
    """
    seen: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for name, version in versions_of(run).items():
            seen[name].add(version)
    return [
        f"runs used different versions of {name}: {', '.join(sorted(found))}"
        for name, found in sorted(seen.items())
        if len(found) > 1
    ]


def versions_of(run: Run) -> Mapping[str, str]:
    """Library → version in a run's record.

    Args:
        run: any run.

    Returns:
        Empty without a record.
    """
    versions = (run.record or {}).get("versions") or {}
    return {str(name): str(version) for name, version in versions.items()}


def obstacle(arm: Arm, scratch: Arm | None, random_problem: str | None, sweep: Sweep) -> str | None:
    """Why a cell may not get a verdict: completeness and comparability come first.

    Args:
        arm: the cell's runs.
        scratch: the from-scratch arm on the same target, if the sweep has one.
        random_problem: what is wrong with the random-policy run of the target, if anything.
        sweep: names the from-scratch strategy, and chance.

    Returns:
        The obstacle in words; None if a verdict may be given.
    """
    if scratch is None:
        return f"the sweep has no {sweep.baseline} runs on this target"
    gaps: Sequence[str] = [text for text in (describe_missing(arm), describe_missing(scratch)) if text]
    if gaps:
        return "; ".join(gaps)
    if random_problem is not None:
        return f"the {sweep.labels.zero} run of this target is not usable ({random_problem})"
    if arm.steps is None or arm.steps != scratch.steps:
        return "the two arms were not evaluated at the same steps"
    return None
