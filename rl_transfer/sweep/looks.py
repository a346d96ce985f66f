"""A seed plan as runs: the looks at a sweep one after the other, each with the cells that are undecided.

What is decided is no business of this room: a function of the records says which cells go on. It is asked
anew whenever a sweep goes on, so that one that was stopped anywhere ends like one that was not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results import TOLERANCES, RunStore, read_manifest
from rl_transfer.results.looks import LATE, LOOKS, Stages, in_words, is_taken, read_looks
from rl_transfer.results.scores import SCORES
from rl_transfer.results.tuning import TUNING
from rl_transfer.spec import JsonObject
from rl_transfer.spec.seeds import LEAST_SEEDS
from rl_transfer.sweep.graph import Graph, Row

CellPlace = tuple[str | None, str, str]
"""Source, target and strategy."""
_LEVEL = ("q", "confidence", "final_share")
"""Settings of the analysis that make other verdicts of the same runs; δ is pinned."""
Decide = Callable[[Path, JsonObject], Collection[CellPlace]]
"""Gets the sweep's folder and the manifest of a look whose runs have ended; says which arms go on."""


def nothing_goes_on(_folder: Path, _manifest: JsonObject) -> Collection[CellPlace]:
    """Decides that every plan ends with its first look."""
    return ()


@dataclass(frozen=True)
class SeedLook:
    """A look at a sweep: everything that must have run for it.

    Attributes:
        number: of the look, from 1; one more than the plan has for seeds beyond it; 0 for the tuning before.
        of: looks that the plan has.
        seeds: per arm, of the arms that came so far.
        graph: the runs of this look and of all before.
        manifest: the content of ``sweep.json`` that plans just these.
        arms: for each look after the first, the arms that went on to it.
    """

    number: int
    of: int
    seeds: int
    graph: Graph
    manifest: JsonObject
    arms: tuple[frozenset[CellPlace], ...] = ()

    @property
    def words(self) -> str:
        """``look 2 of 4 (10 seeds)``; empty where there is but one."""
        if self.number == 0:
            return f"tuning ({self.seeds} seeds a point)"
        if self.number > self.of:
            return f"seeds beyond the plan ({self.seeds} in all)"
        return f"look {self.number} of {self.of} ({self.seeds} seeds)" if self.of > 1 else ""


class Looks:
    """The looks of a sweep.

    Args:
        graph: every run that the sweep could take.
        manifest: what plans them all, and says which seeds are judged when.
        store: where the runs lie.
        decide: which arms go on.
    """

    def __init__(self, graph: Graph, manifest: JsonObject, store: RunStore, decide: Decide) -> None:
        self._graph, self._manifest, self._store, self._decide = graph, manifest, store, decide
        self._stages = read_looks(manifest)
        self._stage_of = {seed: place for place, stage in enumerate(self._stages) for seed in stage}
        self._beyond = any(row.role == "target" and row.seed not in self._stage_of for row in graph.rows)

    @property
    def several(self) -> bool:
        """Whether a sweep may end before all its runs have run."""
        return len(self._stages) > 1

    def first(self) -> SeedLook:
        """The look that every arm comes to."""
        return self._look(1, ())

    def after(self, look: SeedLook) -> SeedLook | None:
        """The next look at a sweep whose runs have ended up to ``look``.

        Args:
            look: the one that was taken.

        Returns:
            The next, with the arms that go on; None where all is decided, the plan has ended, or the cells
            that are left had runs that failed.
        """
        if look.number < look.of and (arms := frozenset(self._decide(self._store.root, look.manifest))):
            return self._look(look.number + 1, (*look.arms, arms))
        if look.number <= look.of and self._beyond:
            seeds = len({row.seed for row in self._graph.rows if row.role == "target"})
            return SeedLook(look.of + 1, look.of, seeds, self._graph, self._manifest, look.arms)
        return None

    def next(self) -> SeedLook:
        """The look at which a sweep that was begun stands: the first that lacks a run, else the last."""
        look = self.first()
        while (look.number < look.of or (self._beyond and look.number == look.of)) and self._is_over(look):
            following = self.after(look)
            if following is None:
                break
            look = following
        return look

    def _is_over(self, look: SeedLook) -> bool:
        return all(self._store.folder(each).read().state == "finished" for each in look.graph.specs)

    def _look(self, number: int, arms: tuple[frozenset[CellPlace], ...]) -> SeedLook:
        seeds = sum(map(len, self._stages[:number]))
        if number == len(self._stages) == 1 and not self._beyond:
            return SeedLook(1, 1, seeds, self._graph, self._manifest)
        targets = [row for row in self._graph.rows if row.role == "target" and self._has_come(row, arms)]
        fed = {(row.source, row.seed) for row in targets if row.needs}
        kept = [
            row.role in ("random", TUNING)
            or (row.role == "target" and self._has_come(row, arms))
            or (
                row.role in ("source", SCORES)
                and (self._stage_of.get(row.seed) == 0 or (row.source, row.seed) in fed)
            )
            for row in self._graph.rows
        ]
        rows = [row for row, keep in zip(self._manifest["runs"], kept, strict=True) if keep]
        graph = self._graph.part(tuple(row for row, keep in zip(self._graph.rows, kept, strict=True) if keep))
        return SeedLook(number, len(self._stages), seeds, graph, {**self._manifest, "runs": rows}, arms)

    def _has_come(self, row: Row, arms: tuple[frozenset[CellPlace], ...]) -> bool:
        """Whether a run on a target belongs to the looks so far."""
        stage = self._stage_of.get(row.seed)
        if stage is None or row.target is None or row.strategy is None:
            return False
        return stage == 0 or (
            stage <= len(arms) and (row.source, row.target, row.strategy) in arms[stage - 1]
        )


def declared_looks(store: RunStore, stages: Stages, *, is_plan: bool) -> Stages:
    """The looks of a suite in a folder: its own, or those that were declared there and taken already.

    Args:
        store: the sweep's folder; it may not exist.
        stages: the seeds that each look of the suite adds.
        is_plan: whether the suite has a seed plan, and not just seeds.

    Returns:
        The seeds that each look adds. Seeds of the suite that none of them has are exploratory.

    Raises:
        StoreError: results were looked at there under another plan.
    """
    try:
        found = read_manifest(store.root)
    except StoreError:  # missing or damaged: it is written anew
        return stages
    before = read_looks(found)
    if before == stages:
        return stages
    states = {str(row["id"]): store.folder(str(row["id"])).read().state for row in found["runs"]}
    if not is_taken(found, states, before):
        return stages
    way_out = (
        "Choose another folder with --output, and with seeds.first other seeds than those that were seen; or "
        "let this plan take the place of that one with --replace-matrix"
    )
    old = f"{store.root} was looked at with {in_words(before)} seeds per arm"
    if is_plan:
        raise StoreError(
            f"{old}, and this suite plans looks at {in_words(stages)}: a plan that is changed after its "
            f"first look proves nothing. {way_out}"
        )
    given, planned = {seed for stage in stages for seed in stage}, {s for stage in before for s in stage}
    if not planned <= given:
        raise StoreError(
            f"{old}, and this suite leaves out {len(planned - given)} of these seeds: seeds that are chosen "
            f"after their results were seen prove nothing. Give all of them; more are exploratory. {way_out}"
        )
    return before


def declared_after(store: RunStore, planned: JsonObject, graph: Graph) -> int:
    """How many runs on targets had ended when what they are judged by was declared.

    Args:
        store: the sweep's folder; it may not exist.
        planned: the manifest of what is to run, with looks and δ.
        graph: its runs.

    Returns:
        0 where the folder declares the same, or where no arm has as many finished runs as a verdict needs; a
        folder in which it was declared too late stays one.
    """
    try:
        before = read_manifest(store.root)
    except StoreError:  # missing or damaged: nobody knows what was declared
        before = {}
    if before and _declared(before, planned) == _declared(planned, before):
        return int(before.get(LATE) or 0)
    ended = {
        row.id: (row.source, row.target, row.strategy)
        for row in graph.rows
        if row.role == "target" and store.folder(row.id).finished
    }
    enough = max(Counter(ended.values()).values(), default=0) >= LEAST_SEEDS
    return len(ended) if enough else int(before.get(LATE) or 0)


def _declared(manifest: JsonObject, other: JsonObject) -> tuple[object, ...]:
    """What verdicts of a manifest rest on, as far as another one says it too."""
    analysis, theirs = ((each.get("config") or {}).get("analysis") or {} for each in (manifest, other))
    level = {key: analysis[key] for key in _LEVEL if key in analysis and key in theirs}
    deltas, others = (each.get(TOLERANCES) or {} for each in (manifest, other))
    return (
        [{*stage} for stage in read_looks(manifest)],
        level,
        {name: each for name, each in deltas.items() if name in others},
    )


def with_looks(manifest: JsonObject, stages: Stages) -> JsonObject:
    """A manifest that declares its looks.

    Args:
        manifest: the rest of ``sweep.json``.
        stages: the seeds that each look adds.
    """
    return {**manifest, LOOKS: [list(stage) for stage in stages]}
