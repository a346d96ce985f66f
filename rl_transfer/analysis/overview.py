"""What concerns a sweep as a whole: how many runs there are, their versions, and whether seeds suffice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rl_transfer.analysis.comparison import JUDGED, Comparison, Judged
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.mixture import code_mixtures, cpu_mixture, versions_of
from rl_transfer.analysis.power import smallest_p
from rl_transfer.analysis.settings import StrategyInfo
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.results.looks import late_words
from rl_transfer.wording import counted, in_words, listing


def ordered_strategies(sweep: Sweep) -> dict[str, StrategyInfo]:
    """Strategies by name: the baseline first, controls last.

    Args:
        sweep: any.
    """
    rank = {True: 2, False: 1}
    given = sweep.strategies
    names = sorted(given, key=lambda name: 0 if name == sweep.baseline else rank[given[name].control])
    return {name: given[name] for name in names}


def names(sweep: Sweep, field: Literal["source", "target"]) -> list[str]:
    """Sources or targets in the config's order, then any that only rows name.

    Args:
        sweep: any.
        field: which of both.
    """
    configured = [*(sweep.config.get(f"{field}s") or {})]
    rows = [getattr(run, field) for run in sweep.runs if getattr(run, field) is not None]
    return list(dict.fromkeys([*configured, *rows]))


def counts(runs: Sequence[Run]) -> dict[str, int]:
    """Distinct runs by state: planned, finished, failed (damaged ones included), unfinished or skipped.

    One run may stand in several rows; it counts once.

    Args:
        runs: the rows of a sweep.

    Returns:
        State → number of distinct runs.
    """
    distinct = {run.id: run for run in runs}.values()
    unfinished = sum((run.problem or "").startswith(("unfinished", "skipped")) for run in distinct)
    finished = sum(run.finished for run in distinct)
    return {
        "planned": len(distinct),
        "finished": finished,
        "failed": len(distinct) - finished - unfinished,
        "unfinished": unfinished,
    }


def missing_runs(state: Mapping[str, int]) -> list[str]:
    """That runs are missing, a sentence; empty where none is.

    Args:
        state: what :func:`counts` gives.
    """
    if state["finished"] == state["planned"]:
        return []
    return [
        f"{state['finished']} of {state['planned']} runs are finished, {state['failed']} failed: "
        "cells with missing runs are inconclusive"
    ]


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


def warnings(
    sweep: Sweep, family: Sequence[Mapping[Judged, Comparison]], least_seeds: int | None
) -> tuple[str, ...]:
    """Sentences that stand above the whole matrix.

    Args:
        sweep: the sweep.
        family: the comparisons of each cell in the family of tests.
        least_seeds: least seeds per arm at which a lone effect could reach a verdict.

    Returns:
        Too few seeds, missing runs, data that are not used, mixed code and CPUs; empty if there is nothing.
    """
    found, cells = [], len(family)
    if least_seeds is None:
        found.append(
            f"no number of seeds lets a lone effect among {counted(cells, 'cell')} pass the correction: "
            "analyse fewer cells at a time"
        )
    elif (few := _too_few(sweep, family, least_seeds)) and (without := _without_effects(family)):
        place = "" if len(without) == len(JUDGED) else f" on {METRICS[without[0]].claim}"
        found.append(f"no gain or loss could be settled{place}, and {few}")
    return (
        *found,
        *([late] if (late := late_words(sweep.manifest)) else []),
        *missing_runs(counts(sweep.runs)),
        *_soundness(sweep.runs),
        *_cut_off(sweep.runs),
        *_data_notes(sweep),
        *code_mixtures(sweep.runs),
        *cpu_mixture(sweep.runs),
    )


def _soundness(runs: Sequence[Run]) -> list[str]:
    """Runs that are not what they were when they ended, and runs of which nobody can tell."""
    distinct = {run.id: run for run in runs}
    damaged = [
        f"{name} {problem.removeprefix('damaged: ')}"
        for name, run in distinct.items()
        if (problem := run.problem or "").startswith("damaged: ")
    ]
    trusted = sum(run.on_trust for run in distinct.values())
    found = []
    if damaged:
        named = listing(damaged, 3, "; ")
        found.append(
            f"damaged: {named}; the next sweep moves {counted(len(damaged), 'run')} aside and computes "
            f"{'it' if len(damaged) == 1 else 'them'} again"
        )
    if trusted:
        found.append(
            f"{counted(trusted, 'run')} of rl-transfer 0.1.0 taken on trust: its records have no digests of "
            "curves and bundles"
        )
    return found


def _cut_off(runs: Sequence[Run]) -> list[str]:
    """Runs that were interrupted and could not go on exactly where they were."""
    cut = []
    for name, run in {run.id: run for run in runs}.items():
        resumed = (run.record or {}).get("resumed")
        places = [each for each in resumed if isinstance(each, Mapping)] if isinstance(resumed, list) else []
        cut += [name] if any(each.get("environments") == "reset" for each in places) else []
    if not cut:
        return []
    verb = "was" if len(cut) == 1 else "were"
    return [
        f"{counted(len(cut), 'run')} {verb} interrupted and resumed with environments that were reset, so "
        f"other episodes than an uninterrupted run's: {listing(cut, 3)}"
    ]


def _data_notes(sweep: Sweep) -> list[str]:
    """What the preflight noted of the data of sources and targets, each sentence once."""
    places: dict[str, list[str]] = {}
    for group in ("sources", "targets"):
        entries = sweep.config.get(group)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            notes = entry.get("notes") if isinstance(entry, Mapping) else None
            for note in notes if isinstance(notes, list) else ():
                places.setdefault(str(note), []).append(str(name))
    return [f"{in_words(list(dict.fromkeys(names)))}: {note}" for note, names in places.items()]


def _too_few(sweep: Sweep, family: Sequence[Mapping[Judged, Comparison]], least_seeds: int) -> str:
    """That seeds, or the source policies that are compared in their place, are too few; empty if not."""
    seeds, cells = len(sweep.seeds), len(family)
    pooled = [
        each.policies for cell in family for entry in cell.values() if (each := entry.fed) and each.pooled
    ]
    if seeds < least_seeds:
        who, p, take = f"{counted(seeds, 'seed')} per arm", smallest_p(seeds, seeds), str(least_seeds)
    elif pooled and (p := smallest_p(fewest := min(pooled), seeds)) * cells >= sweep.settings.q:
        policies = counted(fewest, "source policy", "source policies")
        who = f"{policies} against {counted(seeds, 'from-scratch run')}"
        needed = (m for m in range(fewest, seeds) if smallest_p(m, seeds) * cells < sweep.settings.q)
        take = f"{next(needed, least_seeds)} policies"
    else:
        return ""
    return (
        f"{who} {'is' if seeds == 1 else 'are'} too few for a lone one among {counted(cells, 'cell')} "
        f"(the smallest p of the exact test is {p:.3g}): take at least {take}"
    )


def _without_effects(family: Sequence[Mapping[Judged, Comparison]]) -> list[Judged]:
    """The judged metrics on which cells are left undecided and none has a positive or negative verdict."""
    verdicts = {metric: {cell[metric].verdict for cell in family} for metric in JUDGED}
    return [
        metric
        for metric, found in verdicts.items()
        if Verdict.INCONCLUSIVE in found and found.isdisjoint({Verdict.POSITIVE, Verdict.NEGATIVE})
    ]
