"""What concerns a sweep as a whole: how many runs there are, their versions, and whether seeds suffice."""

from __future__ import annotations

from collections.abc import Sequence

from rl_transfer.analysis.flags import version_mismatches, versions_of
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.power import smallest_p


def counts(runs: Sequence[Run]) -> dict[str, int]:
    """Distinct runs by state: planned, finished, failed (damaged ones included), unfinished.

    One run may stand in several rows; it counts once.

    Args:
        runs: the rows of a sweep.

    Returns:
        State → number of distinct runs.
    """
    distinct = {run.id: run for run in runs}.values()
    unfinished = sum(run.problem == "unfinished" for run in distinct)
    finished = sum(run.finished for run in distinct)
    return {
        "planned": len(distinct),
        "finished": finished,
        "failed": len(distinct) - finished - unfinished,
        "unfinished": unfinished,
    }


def versions(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Library → the versions that the runs recorded.

    Args:
        runs: the rows of a sweep.

    Returns:
        Libraries in alphabetical order, each with its versions.
    """
    seen: dict[str, set[str]] = {}
    for run in runs:
        for name, version in versions_of(run).items():
            seen.setdefault(name, set()).add(version)
    return {name: tuple(sorted(found)) for name, found in sorted(seen.items())}


def warnings(sweep: Sweep, family: int, least_seeds: int | None) -> tuple[str, ...]:
    """Sentences that stand above the whole matrix.

    Args:
        sweep: the sweep.
        family: cells in each family of tests.
        least_seeds: least seeds per arm at which a lone effect could reach a verdict.

    Returns:
        Too few seeds, missing runs, mixed versions; empty if there is nothing to say.
    """
    found, seeds = [], len(sweep.seeds)
    if least_seeds is None:
        found.append(
            f"no number of seeds lets a lone effect among {family} cells pass the correction: "
            "analyse fewer cells at a time"
        )
    elif family and seeds < least_seeds:
        found.append(
            f"{seeds} seeds per arm are too few for a lone effect among {family} cells to reach a verdict "
            f"(the smallest p of the exact test is {smallest_p(seeds, seeds):.3g}): "
            f"take at least {least_seeds}"
        )
    state = counts(sweep.runs)
    if state["finished"] < state["planned"]:
        found.append(
            f"{state['finished']} of {state['planned']} runs are finished, {state['failed']} failed: "
            "cells with missing runs are inconclusive"
        )
    return (*found, *version_mismatches(sweep.runs))
